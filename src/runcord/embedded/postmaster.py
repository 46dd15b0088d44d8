"""One run of the server process: starting it, knowing when it is ready, and clearing up after a lost one."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from runcord import clock
from runcord.embedded.account import clean_environment
from runcord.embedded.binaries import Binaries
from runcord.embedded.location import PORT, Location
from runcord.errors import Unavailable

POLL_SECONDS = 0.01

# Sized for a small machine that runs other things too. They are given on the command line, so that every start
# has the values of this version and no ALTER SYSTEM can switch durability off.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "jit": "off",  # its compile time exceeds the run time of short statements
    "log_checkpoints": "off",
    "log_startup_progress_interval": "1s",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_LOG_KEPT_BYTES = 10_000_000
_RECOVERY_WORDS = ("recovery", "redo", "syncing data directory", "resetting unlogged relations")
_STILL_ATTACHED = "shared memory block"


class StillAttached(Unavailable):
    """Processes of a killed server still hold its memory; they leave when they notice."""


class Postmaster:
    """A started server process, not yet ready."""

    def __init__(self, location: Location, binaries: Binaries, settings: Mapping[str, str]) -> None:
        """Start the process as a child of the calling thread, whose end would stop it on Linux."""
        self._location = location
        if location.log.exists() and location.log.stat().st_size > _LOG_KEPT_BYTES:
            location.log.rename(location.log.with_suffix(".1"))
        with location.log.open("ab") as log:
            if location.account.dropped:
                os.fchown(log.fileno(), location.account.uid, location.account.gid)
            self._log_start = self._log_reported = log.tell()
            self._process = subprocess.Popen(
                _command(location, binaries, settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,  # Ctrl-C in the terminal must reach the supervisor first
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; harmless when it has exited."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the process to exit and return its exit code, negative for a signal."""
        return self._process.wait()

    def wait_until_ready(self, report: Callable[[str], None]) -> None:
        """Wait until the server accepts connections, however long recovery takes, reporting its progress.

        Raises `Unavailable` with the end of the server's log when it exits instead, and the subclass
        `StillAttached` when it did because of what is left of a killed predecessor.
        """
        pause = threading.Event()
        while read_pid_file(self._location.data) != (self.pid, "ready"):
            if (code := self._process.poll()) is not None:
                tail = "\n".join(self._log_lines(self._log_start)[-20:])
                failure = StillAttached if _STILL_ATTACHED in tail else Unavailable
                raise failure(f"PostgreSQL exited with code {code} while starting:\n{tail}")
            self._report_recovery(report)
            pause.wait(POLL_SECONDS)
        self._report_recovery(report)

    def _report_recovery(self, report: Callable[[str], None]) -> None:
        size = self._location.log.stat().st_size
        if size > self._log_reported:
            lines = self._log_lines(self._log_reported)
            self._log_reported = size
            for line in lines:
                if " LOG: " in line and any(word in line for word in _RECOVERY_WORDS):
                    report(line)

    def _log_lines(self, start: int) -> list[str]:
        with self._location.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace").splitlines()


def clear_lost_server(location: Location, report: Callable[[str], None], grace: float) -> None:
    """Make way for a new server: stop one that still runs on this data directory, remove what a dead one left.

    The caller holds the state directory's lock, so a running server is an orphan. A pid file whose process is
    gone, is a zombie or is anything but a server on this directory is stale. Removing it is safe: a
    server refuses to start while processes of another are attached to the same data directory.
    """
    found = read_pid_file(location.data)
    if found is None:
        return
    pid = found[0]
    if is_server_of(pid, location.data):
        report(f"stopping the PostgreSQL server {pid}, which an earlier process left behind")
        _stop_orphan(pid, location.data, grace)
    for left in (location.data / "postmaster.pid", location.socket_lock):
        left.unlink(missing_ok=True)


def read_pid_file(data: Path) -> tuple[int, str] | None:
    """Return process id and status (`starting`, `ready`, `stopping` …) from the data directory's pid file.

    The status, the file's eighth line, is empty in a file half written; None stands for no usable file.
    Source: PostgreSQL's `utils/pidfile.h`.
    """
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (OSError, ValueError, IndexError):
        return None


def is_server_of(pid: int, data: Path) -> bool:
    """Return whether the process is a live PostgreSQL server on this data directory (a zombie is not)."""
    if pid <= 0:
        return False  # a standalone backend records itself as a negative number
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[0].endswith(b"postgres") and (b"-D", os.fsencode(data)) in itertools.pairwise(words)
    except OSError:
        if Path("/proc/self").exists():
            return False
    said = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False).stdout
    return b"postgres -D " + os.fsencode(data) + b" " in said


def _stop_orphan(pid: int, data: Path, grace: float) -> None:
    pause = threading.Event()
    for number in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = clock.monotonic() + grace
        while clock.monotonic() < deadline:
            if not is_server_of(pid, data):
                return
            pause.wait(POLL_SECONDS)
    raise Unavailable(f"An earlier PostgreSQL server, process {pid}, still runs on {data} and does not stop: end it.")


def _command(location: Location, binaries: Binaries, settings: Mapping[str, str]) -> list[str]:
    account = location.account
    sockets = str(location.sockets).replace('"', '""')
    ours = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
    }
    return [
        sys.executable,
        "-I",
        "-S",
        str(Path(__file__).with_name("launch.py")),
        str(os.getpid()),
        *((str(account.uid), str(account.gid)) if account.dropped else ("-", "-")),
        str(binaries.postgres),
        "-D",
        str(location.data),
        *(word for name, value in {**SETTINGS, **settings, **ours}.items() for word in ("-c", f"{name}={value}")),
    ]
