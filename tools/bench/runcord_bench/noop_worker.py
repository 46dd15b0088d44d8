"""A worker process as users write one, whose job does nothing; it may say how long each run was on its way."""

import logging
import sys
from typing import Any

from runcord.clock import monotonic
from runcord.worker import Worker
from runcord_bench.process import end_with_parent, say
from runcord_bench.server import JOB


def main(base_url: str, api_key: str, concurrency: str, report: str) -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.WARNING)
    worker = Worker(base_url, api_key, concurrency=int(concurrency))

    @worker.job(JOB)
    async def noop(payload: dict[str, Any]) -> None:
        if report == "latency":
            say(monotonic() - payload["at"])

    say("ready")
    end_with_parent()
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
