"""A worker process as users write one, whose job does nothing.

It may say when it had its first run (`first`), or how long each run was on its way (`latency`).
"""

import logging
import sys
from typing import Any

from runcord.clock import monotonic
from runcord.worker import Worker
from runcord_bench.process import say, wait_to_begin
from runcord_bench.server import JOB


def main(base_url: str, api_key: str, concurrency: str, report: str) -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.WARNING)
    worker = Worker(base_url, api_key, concurrency=int(concurrency))
    seen = 0

    @worker.job(JOB)
    async def noop(payload: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if report == "latency":
            say(monotonic() - payload["at"])
        elif report == "first" and seen == 1:
            say(monotonic())

    wait_to_begin()
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
