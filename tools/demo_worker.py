"""A worker of the demo: `python tools/demo_worker.py WORKER_ID CONCURRENCY LEASE_SECS`.

Address and key come from `RUNCORD_BASE_URL` and `RUNCORD_API_KEY`. It stops on SIGTERM, and when its standard input
ends: whoever started it is gone then.
"""

import hashlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from demo_parts.parsing import measure
from demo_parts.round import JOB

from runcord.worker import RunContext, Worker


def parse_python_file(payload: dict[str, str], context: RunContext) -> dict[str, int]:
    """Read a file and count what is in it. What was read is a checkpoint: a later attempt knows if it changed."""
    source = Path(payload["path"]).read_bytes()
    read = {"step": "read", "size": len(source), "sha256": hashlib.sha256(source).hexdigest()}
    if context.checkpoint == read:
        context.log("The file is the one that an earlier attempt has read.")
    else:
        context.save_checkpoint(read)
    counts = measure(source, payload["name"])
    context.log(f"Parsed {payload['name']}: {counts['lines']} lines.", data={"bytes": len(source)})
    for name, count in counts.items():
        context.output(name, count)
    return counts


def main() -> None:
    worker_id, concurrency, lease_secs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    settings: dict[str, Any] = {"concurrency": concurrency, "lease_secs": lease_secs, "poll_secs": 5, "grace_secs": 10}
    worker = Worker(worker_id=worker_id, **settings)
    worker.job(JOB)(parse_python_file)
    worker.run()


def _stop_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):  # not through the buffer, whose lock would outlive the interpreter
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
