"""Rebuilds beside writers and readers, and kill -9 of whoever builds, compares, switches or drops."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psycopg
import pytest

from runcord.clock import monotonic
from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, http, insist, trigger_keys, work_off

pytestmark = pytest.mark.faults

TRACKED = ("run_history", "tag_index", "job_statistics")
INLINE = ("run_view", "run_terms", "job_view")
SECS = 60.0


def path(name: str, action: str = "") -> str:
    return f"/v1/projections/{name}/{action}".rstrip("/")


def statuses(projection: Mapping[str, Any]) -> dict[int, str]:
    return {one["generation"]: one["status"] for one in projection["generations"]}


async def until(client: httpx2.AsyncClient, name: str, holds: Callable[[dict[int, str]], bool]) -> None:
    """Return when the statuses of a projection's generations are so; the server may come and go meanwhile."""
    deadline = monotonic() + SECS
    while True:
        found = (await insist(client, Journal(), "GET", path(name))).json()
        if holds(statuses(found)):
            return
        assert monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def until_ready(client: httpx2.AsyncClient, *names: str) -> None:
    for name in names:
        await until(client, name, lambda found: "ready" in found.values())


async def begin(client: httpx2.AsyncClient, *names: str) -> None:
    for name in names:
        answer = await insist(client, Journal(), "POST", path(name, "rebuild"), {})
        assert answer.status_code == 202, answer.text


async def compared(client: httpx2.AsyncClient, name: str) -> dict[str, Any]:
    answer = await insist(client, Journal(), "POST", path(name, "compare"), {})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def switch(client: httpx2.AsyncClient, name: str) -> None:
    answer = await insist(client, Journal(), "POST", path(name, "switch"), {})
    assert answer.status_code == 200, answer.text


async def settled(journal: Journal, count: int) -> None:
    """Return when so many runs are settled."""
    deadline = monotonic() + SECS
    while True:
        if len(journal.settled) >= count:
            return
        assert monotonic() < deadline, journal
        await asyncio.sleep(0.02)


async def trigger_in_bulk(client: httpx2.AsyncClient, times: int) -> None:
    """Trigger 500 runs, so many times."""
    for n in range(times):
        items = [{"payload": {"n": n}, "tags": {"n": str(n)}} for _ in range(500)]
        answer = await client.post("/v1/jobs/work/trigger/bulk", json={"items": items})
        assert answer.status_code == 201, answer.text


@asynccontextmanager
async def revived(server: ServerProcess, fault: str) -> AsyncGenerator[list[int]]:
    """Start the server again, with the same fault, whenever that has struck. Yields how it ended each time."""
    ends: list[int] = []

    async def revive() -> None:
        while True:
            if server.exit_code is not None:
                ends.append(server.exit_code)
                server.kill()
                with contextlib.suppress(AssertionError):  # it strikes again before the server was ready
                    await asyncio.to_thread(server.start, fault=fault)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(revive())
    try:
        yield ends
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def reading(server: ServerProcess) -> AsyncGenerator[list[int]]:
    """Read all the time; every answer must be good. Yields the sizes of what was read."""
    sizes: list[int] = []

    async def read(client: httpx2.AsyncClient, place: str) -> None:
        while True:
            answer = await client.get(place)
            assert answer.status_code == 200, answer.text
            sizes.append(len(answer.content))

    async with http(server) as client:
        position = int((await client.get("/v1/runs")).headers["runcord-position"])
        places = ("/v1/runs?statuses=queued,completed", "/v1/runs?job_id=none", f"/v1/runs?position={position}")
        tasks = [asyncio.create_task(read(client, place)) for place in places]
        try:
            yield sizes
            failed = [task for task in tasks if task.done()]
            assert not failed, failed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def damage(dsn: str, statement: str) -> None:
    """Edit rows behind the server's back."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        assert conn.execute(statement.encode()).rowcount > 0


def test_rebuilds_run_beside_writers_and_readers(dsn: str) -> None:
    async def live() -> None:
        journal = Journal()
        with ServerProcess(dsn) as server:
            await create_job(server, "work", tags={"team": "red"})
            async with http(server) as client, reading(server) as sizes:
                work = asyncio.gather(
                    trigger_keys(server, journal, "work", clients=4, each=60),
                    work_off(server, journal, workers=2, expected=240),
                )
                await settled(journal, 20)
                rounds = 0
                while not work.done() or rounds == 0:
                    rounds += 1
                    await begin(client, *TRACKED, *INLINE)
                    await until_ready(client, *TRACKED, *INLINE)
                    for name in (*TRACKED, *INLINE):
                        found = await compared(client, name)
                        assert found["equal"], found
                        await switch(client, name)
                        if name in TRACKED:
                            await insist(client, journal, "POST", path(name, "drop"), {})
                        await until(client, name, lambda found: list(found.values()) == ["live"])
                await work
                assert sizes
        check_ledger(dsn, PROJECT)

    asyncio.run(live())


def test_what_is_damaged_while_it_is_written_is_healed(dsn: str) -> None:
    async def live() -> None:
        journal = Journal()
        with ServerProcess(dsn) as server:
            await create_job(server, "work")
            async with http(server) as client:
                await trigger_keys(server, journal, "work", clients=2, each=40)
                damage(dsn, "update runs set priority = 7 where created_position % 2 = 0")
                work = asyncio.create_task(trigger_keys(server, journal, "work", clients=2, each=60, prefix="more"))
                await begin(client, "run_view")
                await until_ready(client, "run_view")
                assert (await compared(client, "run_view"))["differing"] > 30
                await switch(client, "run_view")
                await until(client, "run_view", lambda found: found == {0: "live"})
                await work
                await begin(client, "run_view")
                await until_ready(client, "run_view")
                found = await compared(client, "run_view")
                assert (found["equal"], found["live_rows"]) == (True, 200)
                await work_off(server, journal, workers=2, expected=200)
        check_ledger(dsn, PROJECT)

    asyncio.run(live())


def test_a_rebuild_ends_equal_though_its_builders_are_killed_at_every_second_batch(dsn: str) -> None:
    async def live() -> None:
        server = ServerProcess(dsn)
        try:
            server.start()
            await create_job(server, "work")
            async with http(server) as client:
                await trigger_in_bulk(client, 24)
                server.kill()
                # Only builders pass this often enough: a rebuild is not moved on by a server until it is compared.
                server.start(fault="inline_mover.before_commit:2")
                await begin(client, "run_view", "run_terms")
                await until_ready(client, "run_view", "run_terms")
                server.kill()
                server.start()
                for name in ("run_view", "run_terms"):
                    found = await compared(client, name)
                    assert found["equal"], found
                    assert found["live_rows"] >= 12_000
        finally:
            server.kill()

    asyncio.run(live())


@pytest.mark.slow
def test_a_rebuild_ends_equal_though_builders_and_servers_are_killed_at_every_third_batch(dsn: str) -> None:
    async def live() -> None:
        server = ServerProcess(dsn)
        names = ("run_history", "tag_index")
        try:
            server.start()
            await create_job(server, "work")
            async with http(server) as client:
                await trigger_in_bulk(client, 26)  # a server has three batches left when builders have gone
                await begin(client, *names)
                server.kill()
                async with revived(server, "projector.before_commit:3") as ends:
                    await until_ready(client, *names)
                assert -signal.SIGKILL in ends[1:]  # one that was busy starting may have ended otherwise
                server.kill()
                server.start()
                for name in names:
                    found = await compared(client, name)
                    assert found["equal"], found
                    assert found["live_rows"] >= 24
        finally:
            server.kill()

    asyncio.run(live())


@pytest.mark.parametrize(
    "fault",
    [
        "inline_switch.before_commit:1",
        "inline_switch.before_commit:2",
        "inline_switch.between:1",
        "dropping.after_chunk:1",
    ],
)
def test_a_server_that_is_killed_while_it_heals_is_followed_by_one_that_goes_on(dsn: str, fault: str) -> None:
    async def live() -> None:
        journal = Journal()
        server = ServerProcess(dsn)
        try:
            server.start()
            await create_job(server, "work")
            async with http(server) as client:
                items = [{"payload": {"n": n}} for n in range(500)]
                assert (await client.post("/v1/jobs/work/trigger/bulk", json={"items": items})).status_code == 201
                damage(dsn, "update runs set priority = 7")
                await begin(client, "run_view")
                await until_ready(client, "run_view")
                server.kill()
                server.start(fault=fault)
                switching = asyncio.create_task(insist(client, journal, "POST", path("run_view", "switch"), {}))
                await asyncio.to_thread(_wait_for_the_kill, server)
                server.start()
                assert (await switching).status_code in {200, 409}
                await until(client, "run_view", lambda found: "dropping" not in found.values())
                await begin_unless_begun(client)
                await until_ready(client, "run_view")
                found = await compared(client, "run_view")
                assert found["equal"], found
        finally:
            server.kill()
        check_ledger(dsn, PROJECT)

    asyncio.run(live())


async def begin_unless_begun(client: httpx2.AsyncClient) -> None:
    """Have a rebuild, a new one if the one before has gone."""
    found = (await client.get(path("run_view"))).json()
    if "ready" not in statuses(found).values():
        await begin(client, "run_view")


def _wait_for_the_kill(server: ServerProcess) -> None:
    deadline = monotonic() + SECS
    while server.exit_code is None:
        assert monotonic() < deadline, "the fault did not strike"
    server.kill()
