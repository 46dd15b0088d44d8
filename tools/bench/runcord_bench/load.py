"""A closed loop: so many callers, each with one operation under way at a time."""

import asyncio
from collections.abc import Awaitable, Callable

from runcord.clock import monotonic
from runcord_bench.sampling import Sample

PAYLOAD = {"document": "d" * 40, "options": {"language": "en", "pages": [1, 2, 3]}, "attempted_before": False}
"""What a run is given, on every side: about 120 bytes of JSON."""

WARM_UP_SECS = 0.2


async def closed_loop(callers: int, seconds: float, operate: Callable[[], Awaitable[object]]) -> Sample:
    """Keep `callers` operations under way for some seconds and return their rate and latencies.

    Counted is what begins after a warm-up and ends before the end, so that every side is in its stride. Where that is
    nothing, because the machine stood still, what was under way at the end is.
    """
    latencies: list[float] = []
    late: list[float] = []
    begin = monotonic() + WARM_UP_SECS
    end = begin + seconds

    async def call() -> None:
        while (started := monotonic()) < end:
            await operate()
            ended = monotonic()
            if begin <= started and ended <= end:
                latencies.append(ended - started)
            elif ended > end:
                late.append(ended - started)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(call())
    if not latencies:
        return Sample(len(late) / (monotonic() - begin), late)
    return Sample(len(latencies) / seconds, latencies)
