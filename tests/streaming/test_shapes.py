"""Trigger.dev's realtime, as its shape client speaks it: snapshots, held polls, handles; nothing lost or repeated."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from runcord.clock import monotonic
from runcord.testing.postgres import TestServer
from runcord.testing.server import ServerProcess

from .conftest import Caller, calling
from .test_subscriptions import tagged

Servers = tuple[ServerProcess, ServerProcess]
API_VERSION = {"x-trigger-api-version": "2025-07-16"}


class Follower:
    """Follows one shape as the client of the SDK does, on any of several servers."""

    def __init__(self, path: str, *callers: Caller, headers: dict[str, str] | None = None, **params: str) -> None:
        self.path, self.callers, self.params = path, callers, params
        self.headers = API_VERSION if headers is None else headers
        self.offset, self.handle, self.cursor, self.is_live = "-1", "", "", False
        self.updates: list[dict[str, Any]] = []
        """Every row as it came."""
        self.answers = 0

    async def poll(self) -> list[dict[str, Any]]:
        """Ask once, and return the rows of the answer."""
        params = {**self.params, "offset": self.offset}
        if self.handle:
            params["handle"] = self.handle
        if self.is_live:
            params |= {"live": "true", "cursor": self.cursor}
        caller = random.choice(self.callers)
        answer = await caller.http.get(self.path, params=params, headers=self.headers)
        self.answers += 1
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        self.offset, self.handle = answer.headers["electric-offset"], answer.headers["electric-handle"]
        if self.is_live:
            self.cursor = answer.headers["electric-cursor"]
        else:
            assert answer.headers["electric-schema"]
        *rows, last = answer.json() or [{}]
        is_up_to_date = last.get("headers") == {"control": "up-to-date"}
        if not is_up_to_date:
            rows = answer.json()
        if not self.is_live:
            assert ("electric-up-to-date" in answer.headers) is is_up_to_date
        self.is_live = self.is_live or is_up_to_date
        operations = {message["headers"]["operation"] for message in rows}
        assert operations <= {"insert", "update"}
        found = [message["value"] for message in rows]
        self.updates += found
        return found

    async def until_live(self) -> None:
        while not self.is_live:
            await self.poll()


def test_a_run_is_followed_from_its_snapshot_to_its_end(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await tagged(one, "shape:run", metadata={"a": "b"})
            follower = Follower(f"/realtime/v1/runs/{work.run_id}", one, two, log="full")
            (row,) = await follower.poll()
            assert (row["friendlyId"], row["status"], row["completedAt"]) == (work.run_id, "EXECUTING", None)
            assert (row["payload"], row["payloadType"]) == ('{"n":1}', "application/json")
            assert row["runTags"] == '{"shape:run"}' and row["metadata"] == '{"a":"b"}'
            polling = asyncio.create_task(follower.poll())
            await work.say("complete", {"result": {"ok": True}})
            (row,) = await polling
            assert row["status"] == "COMPLETED_SUCCESSFULLY" and row["completedAt"] and row["output"] == '{"ok":true}'
            begun = monotonic()
            assert await follower.poll() == []
            assert monotonic() - begun > 0.9, "a poll that has nothing to say is held"

    asyncio.run(test())


def test_an_old_client_is_sent_the_statuses_that_it_knows(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            await one.done("POST", "/v1/jobs", {"name": "old", "slug": "old-client"})
            run = await one.done("POST", "/v1/jobs/old-client/trigger", {})
            await one.done("POST", "/v1/runs/dequeue", {"worker_id": "w", "run_id": run["id"]})
            new, old = (
                Follower(f"/realtime/v1/runs/{run['id']}", one),
                Follower(f"/realtime/v1/runs/{run['id']}", one, headers={}),
            )
            assert (await new.poll())[0]["status"] == "DEQUEUED"
            assert (await old.poll())[0]["status"] == "EXECUTING"
            skipping = Follower(f"/realtime/v1/runs/{work.run_id}", one, skipColumns="payload,output,id,updatedAt")
            (row,) = await skipping.poll()
            assert "payload" not in row and "output" not in row and row["id"] and row["updatedAt"]

    asyncio.run(test())


def test_what_a_client_cannot_go_on_with_has_it_fetch_anew(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await tagged(one, "refetch:1")
            path = f"/realtime/v1/runs/{work.run_id}"
            follower = Follower(path, one)
            await follower.poll()
            for wrong in (
                {"offset": "0_0", "handle": "1-000000000000000000000000"},
                {"offset": "0_0"},
                {"offset": "nonsense", "handle": follower.handle},
                {"offset": "999999999_0", "handle": follower.handle, "live": "true"},
                {"offset": follower.offset, "handle": follower.handle, "skipColumns": "payload"},
            ):
                answer = await one.http.get(path, params=wrong)
                assert answer.status_code == 409, wrong
                assert answer.headers["content-type"] == "application/json"
                assert answer.json() == [{"headers": {"control": "must-refetch"}}]
                again = {"offset": "-1", "expired_handle": "x", "skipColumns": wrong.get("skipColumns", "")}
                fresh = await one.http.get(path, params=again)
                assert fresh.headers["electric-handle"] == answer.headers["electric-handle"]
            assert (await one.http.get("/realtime/v1/runs/run_nowhere?offset=-1")).status_code == 404
            assert (await one.http.get("/realtime/v1/batches/batch_nowhere?offset=-1")).status_code == 404
            assert (await one.http.get("/realtime/v1/runs?offset=-1")).status_code == 400
            assert (await one.http.get('/realtime/v1/runs?offset=-1&tags=a"b')).status_code == 400
            assert (await one.http.get("/realtime/v1/runs?offset=-1&tags=a&createdAt=soon")).status_code == 400

    asyncio.run(test())


def test_runs_with_tags_come_in_when_they_have_all_of_them(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            there = await tagged(one, "both:1")
            await there.say("tags", {"tags": {"side": ""}})
            half = await tagged(one, "both:1")
            await tagged(one, "both:2")
            follower = Follower("/realtime/v1/runs", one, two, tags="side,both:1", createdAt="1h")
            await follower.until_live()
            assert [row["id"] for row in follower.updates] == [there.run_id]
            polling = asyncio.create_task(follower.poll())
            await half.say("tags", {"tags": {"side": "", "other": "x"}})
            (row,) = await polling
            assert row["id"] == half.run_id and row["runTags"] == '{"both:1","other:x","side"}'
            none = Follower("/realtime/v1/runs", one, tags="side", createdAt="0s")
            assert await none.poll() == [] and none.is_live

    asyncio.run(test())


def test_a_batch_is_followed_and_a_long_snapshot_comes_in_chunks(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            await one.done("POST", "/v1/jobs", {"name": "many", "slug": "many-in-a-batch"})
            body = {"items": [{"payload": {"n": n, "x": "y" * 6000}} for n in range(450)]}
            made = await one.done("POST", "/v1/jobs/many-in-a-batch/trigger/bulk", body)
            run_ids = [item["id"] for item in made["results"]]
            batch = (await one.done("GET", f"/v1/runs/{run_ids[0]}"))["batch_id"]
            follower = Follower(f"/realtime/v1/batches/{batch}", one, two)
            first = await follower.poll()
            assert 0 < len(first) <= 200 and not follower.is_live
            # Runs that move while the snapshot is under way come once: with the changes, if they had not come before.
            moved = await one.take(run_ids[0])
            shown = await one.take(first[0]["id"])
            await follower.until_live()
            ids = [row["id"] for row in follower.updates]
            assert len(ids) == len(set(ids)) and set(run_ids) - set(ids) <= {run_ids[0]}
            assert follower.answers >= 3
            changed = [row for _ in range(2) for row in await follower.poll()]
            assert {row["id"] for row in changed} == {moved.run_id, shown.run_id}

    asyncio.run(test())


def test_polls_that_are_cut_lose_and_repeat_nothing(servers: Servers) -> None:
    dice = random.Random(5)

    async def test() -> None:
        async with calling(*servers) as (one, two):
            works = [await tagged(one, "polled:1") for _ in range(3)]
            follower = Follower("/realtime/v1/runs", one, two, tags="polled:1")
            await follower.until_live()

            async def write() -> None:
                for n in range(60):
                    await dice.choice(works).say("progress", {"percent": n})
                for work in works:
                    await work.say("complete", {"result": 1})

            writing = asyncio.create_task(write())

            def is_whole() -> bool:
                return sum(row["completedAt"] is not None for row in follower.updates) >= 3

            async with asyncio.timeout(30):
                while not is_whole():
                    polling = asyncio.create_task(follower.poll())
                    await asyncio.wait((polling,), timeout=dice.choice((0.001, 0.01, 2.0)))
                    if not polling.done():
                        polling.cancel()
                    await asyncio.gather(polling, return_exceptions=True)
            await writing
            assert await follower.poll() == []
            seen = [(row["id"], row["updatedAt"], row["status"]) for row in follower.updates]
            finals = [row["id"] for row in follower.updates if row["completedAt"] is not None]
            assert sorted(finals) == sorted(work.run_id for work in works)
            for work in works:
                times = [at for run_id, at, _ in seen if run_id == work.run_id]
                assert times == sorted(times)

    asyncio.run(test())


def memory_kb(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@pytest.mark.parametrize("polls", [300, pytest.param(10_000, marks=(pytest.mark.faults, pytest.mark.slow))])
def test_polls_that_were_abandoned_are_forgotten(postgres: TestServer, template_database: str, polls: int) -> None:
    dsn = postgres.create_database(template=template_database)
    settings = {"RUNCORD_REALTIME_HOLD_SECS": "20", "RUNCORD_STREAMS_PER_PROJECT": "60"}

    async def test(server: ServerProcess) -> None:
        async with calling(server) as (one,):
            # Nobody works on it, so that nothing becomes of it however long this takes.
            await one.done("POST", "/v1/jobs", {"name": "quiet", "slug": "quiet"})
            run = await one.done("POST", "/v1/jobs/quiet/trigger", {})
            path = f"/realtime/v1/runs/{run['id']}"
            follower = Follower(path, one)
            await follower.poll()
            params = {"offset": follower.offset, "handle": follower.handle, "live": "true"}

            async def abandon() -> None:
                polling = asyncio.create_task(one.http.get(path, params=params))
                done, _ = await asyncio.wait((polling,), timeout=0.1)
                assert not done, "it is held, and not refused because of those before it"
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)

            async def abandon_many(count: int) -> None:
                for _ in range(0, count, 25):
                    await asyncio.gather(*(abandon() for _ in range(25)))

            await abandon_many(100)
            before = memory_kb(server)
            await abandon_many(polls)
            polling = asyncio.create_task(follower.poll())
            await one.done("DELETE", f"/v1/runs/{run['id']}")
            assert [row["status"] for row in await polling] == ["CANCELED"]
            assert memory_kb(server) - before < 8 * 1024

    with ServerProcess(dsn, settings) as server:
        asyncio.run(test(server))
    postgres.drop_database(dsn)
