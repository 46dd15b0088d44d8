"""Tool calls: which tools the runs of each job call, how often, how often they fail, and for how long they take."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runcord.projecting.projection import Projection, Step, Table
from runcord.run.events import ToolCalled


class ToolUse(NamedTuple):
    """What the runs of one job have done with one tool."""

    job_id: str
    tool_name: str
    calls: int = 0
    failures: int = 0
    duration_ms: int = 0


class ToolCalls(Projection[ToolUse]):
    """Counts tool calls by job and tool."""

    name = "tool_calls"
    version = 1
    reads = frozenset((ToolCalled,))
    table = Table("tool_calls", ToolUse, key=("job_id", "tool_name"))
    create = """
        create table if not exists tool_calls (
            project_id text not null,
            generation integer not null,
            job_id text not null,
            tool_name text not null,
            calls bigint not null,
            failures bigint not null,
            duration_ms bigint not null,
            primary key (project_id, generation, job_id, tool_name)
        )
    """

    def keys(self, step: Step) -> Iterable[tuple[str, str]]:
        """A call concerns the row of the run's job and the tool."""
        if step.after is None:
            return ()
        return ((step.after.job_id, step.recorded.event.tool_name),)

    def evolve(self, row: ToolUse | None, key: tuple[str, str], steps: Sequence[Step]) -> ToolUse:
        """Return the row with these calls."""
        use = row or ToolUse(*key)
        for step in steps:
            call: ToolCalled = step.recorded.event
            use = use._replace(
                calls=use.calls + 1,
                failures=use.failures + (call.status != "completed"),
                duration_ms=use.duration_ms + (call.duration_ms or 0),
            )
        return use


PROJECTION = ToolCalls()
