"""A process of workers over HTTP that take runs and complete them until there are none left.

`PORT KEY SIDE WORKERS AT_ONCE`: it speaks to a server of the product or of the floor, without a library in between. In
the end it says when that was, which runs it had, and how long each claim took.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import orjson
import uvloop

from runcord.clock import monotonic
from runcord_bench.floor_server import CLAIM, COMPLETE
from runcord_bench.http_load import Connection, opened, post
from runcord_bench.process import say, wait_to_begin


class Side(Protocol):
    """How one worker says it."""

    async def claim(self) -> Sequence[Any]:
        """Take runs, begun."""
        ...

    async def complete(self, claimed: Sequence[Any]) -> None:
        """Report them as completed."""
        ...

    def run_id(self, claimed: Any) -> str:
        """Return which run it is."""
        ...


class Product:
    """What spec/worker-api.md has: one run is reported by a call about it, several by one that settles them."""

    def __init__(self, connection: Connection, key: str, name: str, at_once: int) -> None:
        self._connection = connection
        self._key = key
        self._at_once = at_once
        wanted = orjson.dumps({"worker_id": name, "limit": at_once, "start": True})
        self._dequeue = post("/v1/runs/dequeue", key, wanted)

    async def claim(self) -> Sequence[Any]:
        """Dequeue."""
        return orjson.loads(await self._connection.send(self._dequeue))["data"]

    async def complete(self, claimed: Sequence[Any]) -> None:
        """Complete or settle. Raises ProcessFailed when one is refused."""
        if self._at_once == 1:
            [one] = claimed
            path = f"/sdk/v1/runs/{one['run']['id']}/complete"
            await self._connection.send(post(path, one["run_token"], b'{"result":null}'))
            return
        settlements = [
            {
                "run_id": one["run"]["id"],
                "attempt": one["run"]["attempt"],
                "status": "completed",
                "run_token": one["run_token"],
            }
            for one in claimed
        ]
        answer = await self._connection.send(
            post("/v1/runs/settle", self._key, orjson.dumps({"settlements": settlements}))
        )
        results = orjson.loads(answer)["results"]
        assert [result["status"] for result in results] == ["completed"] * len(claimed), results

    def run_id(self, claimed: Any) -> str:
        """Return which run it is."""
        return claimed["run"]["id"]


class Floor:
    """The same with the floor's server."""

    def __init__(self, connection: Connection, at_once: int) -> None:
        self._connection = connection
        self._claim = post(CLAIM, "", orjson.dumps({"limit": at_once}))

    async def claim(self) -> Sequence[Any]:
        """Claim."""
        return orjson.loads(await self._connection.send(self._claim))

    async def complete(self, claimed: Sequence[Any]) -> None:
        """Complete."""
        ids = [self.run_id(one) for one in claimed]
        await self._connection.send(post(COMPLETE, "", orjson.dumps({"ids": ids})))

    def run_id(self, claimed: Any) -> str:
        """Return which run it is."""
        return claimed["id"]


def main(port: str, key: str, side: str, workers: str, at_once: str) -> None:
    """Wait until it is time, take and complete until nothing is left, and say what was done."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        connections = runner.run(opened(int(port), int(workers)))
        crew: list[Side] = [
            Product(connection, key, f"worker-{n}", int(at_once))
            if side == "product"
            else Floor(connection, int(at_once))
            for n, connection in enumerate(connections)
        ]
        wait_to_begin()
        taken: list[str] = []
        latencies: list[float] = []
        runner.run(_drain(crew, taken, latencies))
        say({"ended": monotonic(), "taken": taken, "latencies": latencies})


async def _drain(crew: Sequence[Side], taken: list[str], latencies: list[float]) -> None:
    async def work(worker: Side) -> None:
        while True:
            asked = monotonic()
            claimed = await worker.claim()
            if not claimed:
                return
            latencies.append(monotonic() - asked)
            taken.extend(worker.run_id(one) for one in claimed)
            await worker.complete(claimed)

    async with asyncio.TaskGroup() as tasks:
        for worker in crew:
            tasks.create_task(work(worker))


if __name__ == "__main__":
    main(*sys.argv[1:])
