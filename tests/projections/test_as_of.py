"""What is read as of any position, against a model that folds the whole record and looks at everything."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from tests.property.test_projections import EVENTFUL, Life, actions, numbers

from runcord.ledger import mapper
from runcord.projecting.time_travel import Read
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.project import Project, open_project
from runcord_projections.dead_letters import reading as dead_letters
from runcord_projections.dead_letters.projection import FAILURES, fingerprint
from runcord_projections.lineage import family as lineage
from runcord_projections.tag_index import reading as tags

ENDS_BADLY = (e.Retried, e.DeadLettered)


class Entry(NamedTuple):
    """A dead letter as the model knows it."""

    position: int
    run_id: str
    round: int
    errors: list[e.Failure]
    left: int | None = None
    replayed_as: str | None = None


class Model:
    """The project as it was at one position, found by folding every event up to there."""

    def __init__(self, events: Sequence[Recorded[Any]], position: int) -> None:
        self.runs: dict[str, Run] = {}
        self.entries: dict[tuple[str, int], Entry] = {}
        self.edges: list[tuple[str, str, str, int]] = []
        self._errors: dict[tuple[str, int], list[e.Failure]] = {}
        for recorded in events:
            if recorded.position <= position and recorded.stream_id.startswith("run_"):
                self._take(recorded)

    def _take(self, recorded: Recorded[Any]) -> None:
        run_id, event = recorded.stream_id, recorded.event
        before = self.runs.get(run_id)
        after = evolve(before, recorded)
        assert after is not None
        self.runs[run_id] = after
        if before is None:
            origins = {"child": event.parent_run_id, "continuation": event.continuation_of, "replay": event.replay_of}
            self.edges += [(origin, run_id, kind, recorded.position) for kind, origin in origins.items() if origin]
            return
        place = (run_id, before.round)
        if isinstance(event, ENDS_BADLY):
            self._errors.setdefault(place, []).append(event.error)
        if after.status is Status.DEAD_LETTER and before.status is not Status.DEAD_LETTER:
            self.entries[place] = Entry(recorded.position, *place, self._errors[place])
        if before.status is Status.DEAD_LETTER and after.status is not Status.DEAD_LETTER:
            self.entries[place] = self.entries[place]._replace(left=recorded.position)
        if isinstance(event, e.Replayed) and place in self.entries:
            self.entries[place] = self.entries[place]._replace(replayed_as=event.new_run_id)
        if isinstance(event, e.Restarted):
            self.edges.append((run_id, run_id, "restart", recorded.position))
        if isinstance(event, e.DeadLetterReplayed):
            self.edges.append((run_id, run_id, "dead_letter_replay", recorded.position))

    @property
    def tags(self) -> list[tuple[str, str, Mapping[Status, int]]]:
        """All tags that a run has, in their order, with the statuses of their runs."""
        counts: dict[tuple[str, str], Counter[Status]] = {}
        for run in self.runs.values():
            for tag in (run.tags or {}).items():
                counts.setdefault(tag, Counter())[run.status] += 1
        return [(*tag, dict(by_status)) for tag, by_status in sorted(counts.items())]

    def dead_letters(self, state: dead_letters.State) -> list[Entry]:
        """The entries in a state, newest first."""
        wanted = {"all": {True, False}, "waiting": {False}, "left": {True}}[state]
        return sorted((one for one in self.entries.values() if (one.left is not None) in wanted), reverse=True)

    def related(self, run_id: str, direction: lineage.Direction, kinds: Iterable[str], steps: int) -> dict[str, int]:
        """The depths of a run's relatives."""
        followed = [edge for edge in self.edges if edge[2] in kinds and edge[0] != edge[1]]
        up = _walk({run_id: 0}, [(to, origin) for origin, to, *_ in followed], -1, steps)
        down = _walk({run_id: 0}, [edge[:2] for edge in followed], 1, steps)
        if direction != "all":
            return up if direction == "ancestors" else down
        return _walk(up, [edge[:2] for edge in followed], 1, steps) | up | down


def _walk(seeds: Mapping[str, int], edges: Sequence[tuple[str, str]], by: int, steps: int) -> dict[str, int]:
    found, queue = dict(seeds), deque(seeds)
    while queue:
        run_id = queue.popleft()
        for origin, to in edges:
            if origin == run_id and to not in found and abs(found[run_id] + by) <= steps:
                found[to] = found[run_id] + by
                queue.append(to)
    return found


async def check(read: Read, project_id: str, events: Sequence[Recorded[Any]], position: int) -> None:
    """Compare everything that can be read as of a position with the model."""
    model = Model(events, position)
    found, following = await tags.tags_at(read, project_id, position, tags.Choice(), limit=100)
    assert ([(tag.key, tag.value, tag.by_status) for tag in found], following) == (model.tags, None)
    await _check_dead_letters(read, project_id, model, position)
    for run_id in list(model.runs)[:3]:
        for direction in ("all", "ancestors", "descendants"):
            for kinds, steps in ((lineage.KINDS, 1000), (("child", "replay", "restart"), 1)):
                family = await lineage.family(
                    read, project_id, run_id, position, direction=direction, kinds=kinds, most_deep=steps
                )
                depths = model.related(run_id, direction, kinds, steps)
                assert {node.run_id: node.depth for node in family.nodes} == depths
                for node in family.nodes:
                    run = model.runs[node.run_id]
                    assert (node.status, node.job_id, node.created_at) == (run.status, run.job_id, run.created_at)
                    assert node.restarts == sum(edge[:2] == (run.run_id, run.run_id) for edge in model.edges)
                expected = [edge for edge in model.edges if edge[2] in kinds and set(edge[:2]) <= depths.keys()]
                shown = [(edge.run_id, edge.other_run_id, edge.kind, edge.position) for edge in family.edges]
                assert sorted(shown) == sorted(expected)


async def _check_dead_letters(read: Read, project_id: str, model: Model, position: int) -> None:
    for state in ("waiting", "left", "all"):
        expected = model.dead_letters(state)
        for recent in (False, True):
            found = await dead_letters.entries_at(
                read, project_id, position, dead_letters.Choice(state), recent=recent, limit=100
            )
            assert [(one.position, one.run_id, one.round, one.left_position, one.replayed_as) for one in found] == [
                (one.position, one.run_id, one.round, one.left, one.replayed_as) for one in expected
            ]
            for one, other in zip(found, expected, strict=True):
                assert one.attempts == len(other.errors)
                errors = [FAILURES.decode(error) for error in (one.first_error, one.last_error)]
                assert errors == [other.errors[0], other.errors[-1]]
        groups = await dead_letters.groups_at(read, project_id, position, dead_letters.Choice(state), limit=100)
        alike: dict[str, list[Entry]] = {}
        for one in expected:
            alike.setdefault(fingerprint(one.errors[-1]), []).append(one)
        assert {group.fingerprint: group.size for group in groups} == {mark: len(of) for mark, of in alike.items()}
        assert [group.size for group in groups] == sorted((group.size for group in groups), reverse=True)
        for group in groups:
            newest = [one.run_id for one in alike[group.fingerprint][:3]]
            assert group.run_ids == list(dict.fromkeys(newest))


@pytest.mark.slow
def test_every_position_is_read_as_it_was(dsn: str) -> None:
    seen: set[str] = set()

    @settings(parent=settings(), max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(actions, min_size=10, max_size=50))
    def tell(history: list[Sequence[Any]]) -> None:
        async def live() -> None:
            async with open_project(dsn, f"proj_asof_{next(numbers)}") as project:
                life = Life(project)
                await life.begin()
                for action in (*EVENTFUL, ("die", {"b": "y"}), ("replay", 0), *history):
                    await life.act(action)
                while life.projector.advance(project.project_id).position:
                    pass
                life.projector.close()
                events = _events(project)
                step = max(1, len(events) // 15)
                async with _reading(dsn) as read:
                    for position in (*range(0, len(events), step), len(events)):
                        await check(read, project.project_id, events, position)
                last = Model(events, len(events))
                seen.update(kind for *_, kind, _ in last.edges)
                seen.update(("left" if one.left else "waiting") for one in last.entries.values())

        asyncio.run(live())

    tell()
    assert {"replay", "dead_letter_replay", "left", "waiting"} <= seen


@contextlib.asynccontextmanager
async def _reading(dsn: str) -> AsyncGenerator[Read]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:

        async def read(statement: bytes, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement, params, binary=True)).fetchall()

        yield read


def _events(project: Project) -> list[Recorded[Any]]:
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select stream_id, version, position, recorded_at, event_id, type, data, metadata from events"
            " where project_id = %s order by position",
            (project.project_id,),
            binary=True,
        )
        return [mapper.recorded(row) for row in rows]
