"""Under what conditions figures arise."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psycopg

from runcord.clock import utc_now
from runcord.sql import load
from runcord_bench.sampling import Effort

SQL = load("runcord_bench", "conditions.sql")


def conditions(dsn: str, effort: Effort) -> dict[str, Any]:
    """Return what has to stand beside the figures for them to mean anything."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        settings = dict(conn.execute(SQL["settings"]).fetchall())
    load_1, load_5, _ = os.getloadavg()
    return {
        "date": utc_now().isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": f"{load_1:.2f} (1 min), {load_5:.2f} (5 min)",
        "python": platform.python_version(),
        "postgresql": settings.pop("server_version"),
        "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__})",
        "eventsourcing": version("eventsourcing"),
        "runcord": version("runcord"),
        **settings,
        "rounds": effort.rounds,
        "seconds_per_sample": effort.seconds,
    }
