"""The floor of a worker process: claims and completes on plain psycopg, woken by NOTIFY."""

import sys
from typing import Any

import orjson
import psycopg

from runcord.clock import monotonic
from runcord_bench.floor import SQL
from runcord_bench.process import end_with_parent, say

RESULT = b"null"
RECHECK_SECS = 0.5


def main(dsn: str, at_once: str, report: str) -> None:
    """Work until told to stop."""
    with psycopg.connect(dsn) as conn, psycopg.connect(dsn, autocommit=True) as listening:
        listening.execute("listen floor")
        say("ready")
        end_with_parent()
        while True:
            claimed = claim(conn, int(at_once))
            if not claimed:
                for _ in listening.notifies(timeout=RECHECK_SECS, stop_after=1):
                    pass
                continue
            for _, data in claimed:
                payload = orjson.loads(data)
                if report == "latency":
                    say(monotonic() - payload["at"])
            complete(conn, [run_id for run_id, _ in claimed])


def claim(conn: psycopg.Connection[Any], limit: int) -> list[tuple[Any, bytes]]:
    """Take runs, in one trip."""
    details = orjson.dumps({"worker": "floor", "attempt": 1})
    with conn.pipeline():
        conn.execute(SQL["lock"])
        cursor = conn.cursor(binary=True)
        cursor.execute(SQL["claim"], {"limit": limit, "data": details})
        conn.commit()
    return cursor.fetchall()


def complete(conn: psycopg.Connection[Any], run_ids: list[Any]) -> None:
    """End runs, in one trip."""
    with conn.pipeline():
        conn.execute(SQL["complete"], {"run_ids": run_ids, "data": [RESULT] * len(run_ids)})
        conn.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
