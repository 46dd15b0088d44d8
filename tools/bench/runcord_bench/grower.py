"""A process that has so many runs live, with ten events each: `DSN PROJECT JOB RUNS`.

Everything goes by the commands that servers execute, so that what comes of it is what a long life leaves behind.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

import uvloop

from runcord.handling.runs import CommandRuns
from runcord.ledger.committer import Committer
from runcord.queue.claims import ClaimedRun
from runcord.run.commands import Claim, Log
from runcord_bench import product
from runcord_bench.process import say, wait_to_begin

AT_ONCE = 500
LOGS = 6
"""With the trigger, the two of taking it and the end, ten events a run."""


async def main(dsn: str, project_id: str, job_id: str, runs: str) -> None:
    """Trigger, take, log and complete."""
    with product.open_committer(dsn) as committer:
        wait_to_begin()
        worker_id = f"grower-{os.getpid()}"
        for first in range(0, int(runs), AT_ONCE):
            count = min(AT_ONCE, int(runs) - first)
            await product.trigger(committer, project_id, job_id, [{"tags": {"page": str(first)}}] * count)
            await _work(committer, project_id, await product.claim(committer, project_id, worker_id, count))
        while claimed := await product.claim(committer, project_id, worker_id, AT_ONCE):
            await _work(committer, project_id, claimed)
        say("done")


async def _work(committer: Committer, project_id: str, claimed: Sequence[ClaimedRun]) -> None:
    if claimed:
        logs = [
            (one.run.run_id, Log(f"page {n} of {LOGS} is read", claim=Claim(one.run.attempt, one.run.fence)))
            for one in claimed
            for n in range(1, LOGS + 1)
        ]
        await committer.execute(project_id, CommandRuns(product.CONTEXT, logs))
        await product.complete(committer, project_id, claimed)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
