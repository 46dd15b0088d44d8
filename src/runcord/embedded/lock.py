"""One process at a time on a state directory."""

import fcntl
import os
import threading
from pathlib import Path

from runcord import clock
from runcord.errors import ConfigurationError

_PATIENCE_SECONDS = 1.0


class StateLock:
    """An advisory lock on a file, held until `release` or until this process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write this process's id into the file.

        Raises `ConfigurationError`, naming the holder's process id, when another process keeps it for a second:
        a killed one takes a moment to let go.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = clock.monotonic() + _PATIENCE_SECONDS
        pause = threading.Event()
        while not _try_lock(descriptor):
            if clock.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
                os.close(descriptor)
                raise ConfigurationError(
                    f"{self._path.parent} is in use by process {holder}: stop that process, "
                    "or choose another state directory (--state-dir, RUNCORD_STATE_DIR)."
                )
            pause.wait(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
