"""A process that triggers runs for some seconds and says which were acknowledged."""

import asyncio
import sys

from runcord.clock import monotonic
from runcord_bench import product
from runcord_bench.process import say, wait_to_begin

WRITERS = 4


async def main(dsn: str, project_id: str, job_id: str, seconds: str) -> None:
    """Trigger until the time is over."""
    with product.open_committer(dsn) as committer:
        wait_to_begin()
        end = monotonic() + float(seconds)
        acknowledged: list[str] = []

        async def write() -> None:
            while monotonic() < end:
                acknowledged.extend(await product.trigger(committer, project_id, job_id))

        await asyncio.gather(*(write() for _ in range(WRITERS)))
        say(acknowledged)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
