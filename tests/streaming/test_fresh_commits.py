"""What this process has committed reaches its subscriptions without being read again, as if it had been."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

from tests.run_history.eventful import live

from runcord.ledger.hub import Hub
from runcord.ledger.view import Change
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.streaming.run_updates import FRESH_COMMITS, RunUpdates
from runcord.streaming.selection import Selection
from runcord.streaming.versions import SQL, Fold, Version
from runcord.testing.project import Project, in_project, open_committer

LIMITS = {"limit": 10_000, "bytes": 10**9}


class Commit(NamedTuple):
    position: int
    changes: Sequence[Change]

    @property
    def base(self) -> int:
        return self.position - sum(len(change.recorded) for change in self.changes)

    @property
    def runs(self) -> list[Change]:
        return [change for change in self.changes if isinstance(change.after, Run)]


class Committed:
    """Hears of commits, as a server does."""

    def __init__(self, told: Callable[[Commit], None] | None = None) -> None:
        self.commits: list[Commit] = []
        self._told = told

    def __call__(self, project_id: str, position: int, changes: Sequence[Change]) -> Iterable[Any]:
        commit = Commit(position, changes)
        self.commits.append(commit)
        if self._told is not None:
            self._told(commit)
        return ()


def any_run(run: Run) -> bool:
    return True


@in_project
async def test_versions_are_the_same_whether_events_are_at_hand_or_read(project: Project) -> None:
    rng = random.Random(5)
    committed = Committed()
    with closing(open_committer(project.dsn, on_commit=committed)) as committer:
        await live(replace(project, committer=committer), rng, 400)
    at_hand, reading, mixed = (Fold(project.touch, project.project_id) for _ in range(3))

    async def read(fold: Fold, commit: Commit) -> list[Version]:
        place = {"project_id": project.project_id, "after": commit.base, "until": commit.position, "run_ids": None}
        return await fold.versions(await project.touch(SQL["events_of_runs"], {**place, **LIMITS}), any_run)

    seen: list[Version] = []
    for commit in committed.commits:
        expected = await read(reading, commit)
        assert await at_hand.versions_of(commit.runs, any_run) == expected
        if rng.random() < 0.5:
            assert await mixed.versions_of(commit.runs, any_run) == expected
        else:
            assert await read(mixed, commit) == expected
        seen += expected
    kinds = {
        type(recorded.event) for commit in committed.commits for change in commit.runs for recorded in change.recorded
    }
    assert len(seen) > 200 and len(kinds) > 8 and any(version.result for version in seen)


@in_project
async def test_only_what_another_process_committed_is_read(project: Project) -> None:
    hub, looks = Hub(), 0

    async def read(statement: bytes, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        nonlocal looks
        looks += statement == SQL["events_of_runs"]
        return await project.touch(statement, params)

    updates = RunUpdates(hub, read)

    def told(commit: Commit) -> None:
        updates.committed(project.project_id, commit.position, commit.changes)()
        hub.advance(project.project_id, commit.position, 0)

    loop = asyncio.get_running_loop()
    committed = Committed(lambda commit: loop.call_soon_threadsafe(told, commit))
    got: list[int] = []

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while len(got) < count:
                got.extend(version.position for version in await subscription.read())
                await asyncio.sleep(0.001)

    with closing(open_committer(project.dsn, on_commit=committed)) as committer:
        here, elsewhere = replace(project, committer=committer), project
        job = await here.create_job()
        run = await here.trigger(job)
        async with updates.subscribe(project.project_id, Selection(run_id=run.run_id), after=0) as subscription:
            await until(1)
            for n in range(5):
                await here.command(run, c.Tag({"n": str(n)}))
                await until(2 + n)
            assert looks == 0

            await elsewhere.command(run, c.Tag({"n": "elsewhere"}))
            await here.command(run, c.Tag({"n": "here"}))
            await until(8)
            assert looks == 1

            # More than is kept, while nobody looks: the rest is read.
            await here.command(run, c.Tag({"n": "again"}))
            await until(9)
            for commit in [committed.commits[-1]] * FRESH_COMMITS:
                updates.committed(project.project_id, commit.position, commit.changes)()
            await elsewhere.command(run, c.Tag({"n": "unheard"}))
            await here.command(run, c.Tag({"n": "heard"}))
            await until(11)
            assert looks == 2
        await updates.close()
    positions = project.rows("select position from events where stream_id = %s order by position", run.run_id)
    assert got == [position for (position,) in positions]
