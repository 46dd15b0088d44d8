"""A process whose workers claim runs and complete them until none is left, and that says which attempts it got."""

import asyncio
import sys

import psycopg

from runcord.sql import load
from runcord_bench import product
from runcord_bench.process import say, wait_to_begin

VIEW = load("runcord_projections.run_view", "view.sql")

WORKERS = 4
AT_ONCE = 3


async def main(dsn: str, project_id: str) -> None:
    """Work off the queue."""
    with product.open_committer(dsn) as committer, psycopg.connect(dsn, autocommit=True) as conn:
        wait_to_begin()
        attempts: list[tuple[str, int]] = []

        def is_done() -> bool:
            counts = conn.execute(VIEW["count_by_status"], {"project_id": project_id, "job_id": None}).fetchall()
            return {status for status, _ in counts} == {"completed"}

        async def work(number: int) -> None:
            worker_id = f"worker-{conn.info.backend_pid}-{number}"
            while True:
                claimed = await product.claim(committer, project_id, worker_id, AT_ONCE)
                if not claimed and is_done():
                    return
                attempts.extend((one.run.run_id, one.run.attempt) for one in claimed)
                if claimed:
                    # Let the others ask while this one holds its slots.
                    await asyncio.sleep(0.001)
                    await product.complete(committer, project_id, claimed)

        await asyncio.gather(*(work(number) for number in range(WORKERS)))
        say(attempts)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
