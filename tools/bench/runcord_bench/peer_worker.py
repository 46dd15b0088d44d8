"""A worker process of a peer, whose job does nothing: `NAME DSN AT_ONCE`. It says when it handled the first."""

import logging
import sys

import uvloop

from runcord.clock import monotonic
from runcord_bench.peers import PEERS
from runcord_bench.process import say, wait_to_begin


def main(name: str, dsn: str, at_once: str) -> None:
    """Work until told to stop."""
    logging.disable(logging.CRITICAL)
    wait_to_begin()
    handled = 0

    def count() -> None:
        nonlocal handled
        handled += 1
        if handled == 1:
            say(monotonic())

    uvloop.run(PEERS[name].work(dsn, int(at_once), count))


if __name__ == "__main__":
    main(*sys.argv[1:])
