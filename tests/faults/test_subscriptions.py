"""Subscribers through cut connections and killed servers: every update once, in order, as the ledger has it."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from runcord.client import AsyncClient
from runcord.clock import monotonic
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.testing.project import Project, open_project
from runcord.testing.server import API_KEY, PROJECT, ServerProcess

from .proxy import proxied

pytestmark = pytest.mark.faults

RUNS = 10
DEADLINE_SECS = 60.0


@dataclass(eq=False)
class Seen:
    """What one subscriber was given: the run's id, version and status, in the order in which it came."""

    run_id: str | None
    coalesce: bool = False
    updates: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])


async def subscribe(client: AsyncClient, seen: Seen) -> None:
    stream = (
        client.runs.subscribe(seen.run_id, after=0, coalesce=seen.coalesce, patience=DEADLINE_SECS)
        if seen.run_id is not None
        else client.runs.subscribe_to_tag("all", after=0, coalesce=seen.coalesce, patience=DEADLINE_SECS)
    )
    async for run in stream:
        assert run.version is not None
        seen.updates.append((run.id, run.version, run.status))


async def write(project: Project, runs: Sequence[Run], events: int, dice: random.Random) -> None:
    """Have so many events recorded, and then complete all runs."""
    for first in range(0, events, 20):
        await asyncio.gather(
            *(project.command(dice.choice(runs), c.Progress(percent=n % 100)) for n in range(first, first + 20))
        )
    await asyncio.gather(*(project.command(run, c.Complete(result={"done": True})) for run in runs))


def recorded(project: Project) -> list[tuple[str, int]]:
    """Return run and version of every event of a run, in the order of the ledger."""
    rows = project.rows(
        "select stream_id, version from events where project_id = %s and starts_with(stream_id, 'run_') "
        "order by position",
        PROJECT,
    )
    return [(run_id, version) for run_id, version in rows]


@pytest.mark.parametrize(
    ("events", "rounds"),
    [pytest.param(600, 8, id="short"), pytest.param(10_000, 50, id="long", marks=pytest.mark.slow)],
)
def test_20_subscribers_get_every_update_once_through_cuts_and_kills(dsn: str, events: int, rounds: int) -> None:
    dice = random.Random(rounds)

    async def test(servers: Sequence[ServerProcess]) -> None:
        async with open_project(dsn, PROJECT) as project, proxied(servers, dice) as proxy:
            job = await project.create_job()
            await project.trigger_many(job, [{"tags": {"all": ""}, "payload": {"n": n}} for n in range(RUNS)])
            runs = [claimed.run for claimed in await project.claim(RUNS)]
            every = [*(Seen(run.run_id) for run in runs[:6]), *(Seen(None) for _ in range(4))]
            coalesced = [*(Seen(run.run_id, True) for run in runs[:6]), *(Seen(None, True) for _ in range(4))]
            async with AsyncClient(base_url=proxy.base_url, api_key=API_KEY) as client:
                subscribers = {seen: asyncio.create_task(subscribe(client, seen)) for seen in (*every, *coalesced)}
                writing = asyncio.create_task(write(project, runs, events, dice))
                killed = 0
                for _ in range(rounds):
                    await asyncio.sleep(dice.uniform(0.05, 0.4))
                    if dice.random() < 0.3:
                        server = servers[killed % len(servers)]
                        await asyncio.to_thread(server.kill if killed % 3 else server.stop)
                        await asyncio.to_thread(server.start)
                        killed += 1
                    else:
                        proxy.cut()
                assert proxy.cuts > 0 and killed > 0
                await writing
                written = recorded(project)
                last = dict(written)
                deadline = monotonic() + DEADLINE_SECS
                while not all(_is_whole(seen, last) for seen in (*every, *coalesced)):
                    assert monotonic() < deadline, "a subscriber was not told of the end"
                    await asyncio.sleep(0.05)
                await asyncio.gather(*(task for seen, task in subscribers.items() if seen.run_id is not None))
                for task in subscribers.values():
                    task.cancel()
                await asyncio.gather(*subscribers.values(), return_exceptions=True)
        for seen in every:
            expected = [one for one in written if seen.run_id in (None, one[0])]
            assert [(run_id, version) for run_id, version, _ in seen.updates] == expected
        places: dict[tuple[str, int], int] = {one: place for place, one in enumerate(written)}
        for seen in coalesced:
            given = [places[run_id, version] for run_id, version, _ in seen.updates]
            assert given == sorted(set(given)), "in order, and none twice"

    with ServerProcess(dsn) as one, ServerProcess(dsn) as two:
        asyncio.run(test((one, two)))


def _is_whole(seen: Seen, last: dict[str, int]) -> bool:
    """Whether a subscriber has been given the last version of each of its runs."""
    given: dict[str, Any] = {run_id: version for run_id, version, _ in seen.updates}
    wanted = last if seen.run_id is None else {seen.run_id: last[seen.run_id]}
    return all(given.get(run_id) == version for run_id, version in wanted.items())
