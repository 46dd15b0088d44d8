"""The builder: a process that brings generations up to date that are far behind.

Folding takes all of a processor, and Python has one for each process: a server that built projections itself would
answer late. What is killed at any moment is taken up again where it stood.

`python -m runcord.projecting.builder` reads one line of JSON (`dsn`, `project_id`, `events_per_sec`) and ends with its
input: it never outlives who started it.
"""

import gc
import json
import os
import subprocess
import sys
import threading

import psycopg
import structlog

from runcord import clock, faults
from runcord.projecting.ahead import Ahead
from runcord.projecting.pace import Pace
from runcord.projecting.projector import CLOSE, Projector
from runcord.projecting.registry import projections
from runcord.projecting.taking import DATABASE_AWAY

log = structlog.get_logger(__name__)

NICENESS = 5
"""Builders leave the processor to whoever serves requests."""

_PATIENCE_SECS = 5.0
_PAUSE_SECS = 0.1
_SWITCH_SECS = 0.0005
"""How long the thread that writes waits at most for the one that folds: its database would have nothing to do."""


class Builder:
    """Runs one building process at a time, for one project after the other."""

    def __init__(self, dsn: str, events_per_sec: int, module: str = "runcord.projecting.builder") -> None:
        self._dsn = dsn
        self._events_per_sec = events_per_sec
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def build(self, project_id: str) -> None:
        """Start building what is far behind in a project, unless something is being built."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        task = {"dsn": self._dsn, "project_id": project_id, "events_per_sec": self._events_per_sec}
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process, wherever it stands."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.kill()
            self._process.wait()
            self._process = None


def build(ahead: Ahead, projector: Projector, project_id: str, pace: Pace) -> None:
    """Move the generations of a project on until all are close to the ledger's end, or somebody else does it."""
    pause = threading.Event()
    deadline = clock.monotonic() + _PATIENCE_SECS
    while clock.monotonic() < deadline:
        progress = projector.advance(project_id)
        pace.keep(progress.taken)
        if progress.position:
            if progress.behind <= CLOSE:
                return
            _build_ahead(ahead, project_id, pace)
            deadline = clock.monotonic() + _PATIENCE_SECS
        elif not progress.behind:
            return
        else:
            pause.wait(_PAUSE_SECS)


def _build_ahead(ahead: Ahead, project_id: str, pace: Pace) -> None:
    try:
        ahead.build(project_id, pace)
    except DATABASE_AWAY:
        raise
    except Exception as error:  # the projector finds out what it is, and whom it concerns
        log.info("building_batch_by_batch", project_id=project_id, reason=f"{type(error).__name__}: {error}")


def main() -> None:
    """Build what the input says."""
    dsn, project_id, pace = begin()
    projector = Projector(dsn, projections())
    try:
        with Ahead(dsn, projections()) as ahead:
            build(ahead, projector, project_id, pace)
    except psycopg.Error as error:
        log.warning("builder_ends", project_id=project_id, error=str(error).strip())
    finally:
        projector.close()


def begin() -> tuple[str, str, Pace]:
    """Make this process a builder, and return what its input says: the database, the project and the pace."""
    given = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    os.nice(NICENESS)
    sys.setswitchinterval(_SWITCH_SECS)
    gc.disable()  # folding leaves no cycles, and looking for them takes a third of the time
    faults.arm_from_environment()
    return given["dsn"], given["project_id"], Pace(given["events_per_sec"])


def _end_with(file: int) -> None:
    # Not by Python's own reader: its lock would be held when the process ends by itself.
    while os.read(file, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
