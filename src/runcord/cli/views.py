"""What projections tell: `runcord tags`, `runcord dead-letters`, `runcord runs family`, `runcord jobs statistics`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from runcord.cli.arguments import At, Position, time_of
from runcord.cli.connection import connected
from runcord.cli.output import Format, cell, console, print_json, print_rows
from runcord.cli.state import StateDir

if TYPE_CHECKING:
    from pydantic import BaseModel

    from runcord.client import Family, FamilyNode, Statistics

tags = typer.Typer(help="Look at the tags of runs.", no_args_is_help=True)
dead_letters = typer.Typer(help="Look at dead letters, and what went wrong.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", min=1, help="How many, at most.")]
State = Annotated[
    str, typer.Option("--state", help="`waiting`: those in the queue; `left`: tried again since; or `all`.")
]
JobId = Annotated[str | None, typer.Option("--job", metavar="JOB_ID", help="Only those of this job.")]

_DEAD_LETTER = ("run_id", "round", "dead_at", "attempts", "fingerprint", "error")
_GROUP = ("count", "fingerprint", "last_seen_at", "message", "run_ids")
_COUNTS = ("triggered", "attempts", "completed", "failed", "canceled", "expired", "success_rate")
_STATISTICS = ("hour", *_COUNTS, "work_p50_ms", "work_p95_ms", "wait_p95_ms", "cost_usd", "tokens")


@tags.command("list")
def list_tags(
    key: Annotated[str | None, typer.Option("--key", help="Only tags of this key.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="With `--key`: only the tag of this value.")] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="With `--key`: only values that begin like this.")
    ] = None,
    position: Position = None,
    at: At = None,
    limit: Limit = 50,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """List tags, and how many runs have each, by status; now, or as of a position or a time."""
    with connected(state_dir) as client:
        found = client.tags.list(
            key=key, value=value, prefix=prefix, position=position, at=time_of(at), page_size=min(limit, 100)
        )
        rows = _rows(islice(found, limit))
    if format != "json":
        rows = [row | {"by_status": _by_status(row["by_status"])} for row in rows]
    print_rows(rows, ("key", "value", "total", "by_status"), format, empty="There are no such tags.")


@dead_letters.command("list")
def list_dead_letters(
    state: State = "waiting",
    job_id: JobId = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="Only those of this group: see `runcord dead-letters groups`.")
    ] = None,
    position: Position = None,
    at: At = None,
    limit: Limit = 50,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """List dead letters, newest first, with the last error of each; now, or as of a position or a time."""
    filters: dict[str, Any] = {"state": state, "job_id": job_id, "fingerprint": fingerprint}
    with connected(state_dir) as client:
        found = client.dead_letters.list(position=position, at=time_of(at), page_size=min(limit, 100), **filters)
        rows = _rows(islice(found, limit))
    if format != "json":
        rows = [row | {"error": row["last_error"]["message"]} for row in rows]
    print_rows(rows, _DEAD_LETTER, format, empty="There are no such dead letters.")


@dead_letters.command("groups")
def list_groups(
    state: State = "waiting",
    job_id: JobId = None,
    position: Position = None,
    at: At = None,
    limit: Limit = 50,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Count dead letters by what went wrong, the most first; now, or as of a position or a time."""
    filters: dict[str, Any] = {"state": state, "job_id": job_id}
    with connected(state_dir) as client:
        found = client.dead_letters.groups(position=position, at=time_of(at), page_size=min(limit, 100), **filters)
        rows = _rows(islice(found, limit))
    if format != "json":
        rows = [row | {"run_ids": " ".join(row["run_ids"])} for row in rows]
    print_rows(rows, _GROUP, format, empty="There are no such dead letters.")


def show_family(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The id of the run.")],
    direction: Annotated[
        str, typer.Option("--direction", help="`ancestors`, `descendants`, or `all`: down from the first ancestor.")
    ] = "all",
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="Only over edges of this kind: `child`, `continuation`, `replay`; may be given several times.",
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=0, metavar="N", help="How many steps to go, up and down.")
    ] = None,
    position: Position = None,
    at: At = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Show the runs that a run came of and that came of it, as a tree; now, or as of a position or a time."""
    choice: dict[str, Any] = {"direction": direction, "kinds": kinds, "depth": depth}
    with connected(state_dir) as client:
        family = client.runs.family(run_id, position=position, at=time_of(at), **choice)
    if format == "json":
        print_json(family.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    for tree in _trees(family):
        console.print(tree, soft_wrap=True)
    if family.truncated:
        console.print("… and more: only the closest runs are shown.", style="dim")


def show_statistics(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The id or the slug of the job.")],
    since: Annotated[
        str | None, typer.Option("--from", help="The beginning of an hour; 24 hours before `--to` when missing.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="The end of an hour; of the present one when missing.")
    ] = None,
    by_hour: Annotated[bool, typer.Option("--by-hour", help="Each hour besides the sums.")] = False,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Tell how a job did in the last 24 hours, or in others: runs by their ends, percentiles, cost."""
    with connected(state_dir) as client:
        found = client.jobs.statistics(job, since=time_of(since), until=time_of(until), by_hour=by_hour)
    if format == "json":
        print_json(found.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    console.print(f"{found.job_slug}, from {_hour(found.since)} to {_hour(found.until)}", markup=False)
    rows = [{"hour": _hour(hour.hour), **_figures(hour)} for hour in found.hours]
    print_rows([*rows, {"hour": "total", **_figures(found.total)}], _STATISTICS, format, empty="")


def _trees(family: "Family") -> Iterable[Tree]:
    """Return the family as trees: each run once, under the first that it came of."""
    nodes = {node.run_id: node for node in family.nodes}
    came_of: dict[str, list[tuple[str, str]]] = {}
    placed: set[str] = set()
    for edge in family.edges:
        if edge.since != edge.to and edge.to not in placed:
            placed.add(edge.to)
            came_of.setdefault(edge.since, []).append((edge.to, edge.kind))
    for root in nodes.keys() - placed:
        tree = Tree(_label(nodes[root], family.run_id))
        # Not by recursion: a chain of continuations may be long.
        open_branches = [(root, tree)]
        while open_branches:
            run_id, branch = open_branches.pop()
            for other, kind in came_of.get(run_id, ()):
                open_branches.append((other, branch.add(_label(nodes[other], family.run_id, kind))))
        yield tree


def _label(node: "FamilyNode", asked: str, kind: str = "") -> Text:
    line = Text()
    if kind:
        line.append(f"{kind} ", style="dim")
    line.append(node.run_id, style="bold" if node.run_id == asked else "")
    line.append(f"  {node.job_slug}", style="cyan")
    line.append(f"  {node.status}")
    if node.restarts:
        line.append(f"  queued again {node.restarts} ×", style="dim")
    line.append(f"  {cell(node.created_at)}", style="dim")
    return line


def _figures(statistics: "Statistics") -> Mapping[str, Any]:
    return {
        **{name: getattr(statistics, name) for name in _COUNTS},
        "work_p50_ms": statistics.work_ms.p50,
        "work_p95_ms": statistics.work_ms.p95,
        "wait_p95_ms": statistics.wait_ms.p95,
        "cost_usd": f"{statistics.cost_microusd / 1e6:.6f}",
        "tokens": statistics.tokens,
    }


def _hour(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z"


def _by_status(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _rows(models: "Iterable[BaseModel]") -> list[dict[str, Any]]:
    return [model.model_dump(mode="json", exclude_unset=True) for model in models]
