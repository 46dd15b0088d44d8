"""The embedded PostgreSQL: started, watched, restarted and stopped with the process that uses it.

The threads: `start` and `stop` are called by the owner. A thread of its own starts every server process and waits
for its end, because on Linux a server is tied to the life of the thread that started it.
"""

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runcord import clock
from runcord.embedded.account import run_as
from runcord.embedded.binaries import Binaries, copy_binaries, find_binaries
from runcord.embedded.cluster import ADMINISTRATOR, ROLE, ensure_cluster
from runcord.embedded.durability import check_durability
from runcord.embedded.location import PORT, RELOCATED, Location, locate
from runcord.embedded.lock import StateLock
from runcord.embedded.postmaster import Postmaster, StillAttached, clear_lost_server
from runcord.errors import ConfigurationError, RuncordError, Unavailable

DATABASE = "runcord"

_log = structlog.stdlib.get_logger(__name__)

# How long processes of a killed server may hold its memory before a first start gives up.
_ATTACHED_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 5.0


class EmbeddedPostgres:
    """A PostgreSQL server of our own below a state directory, on a Unix socket alone, that forgets nothing.

    It starts again whenever it dies, stops with `stop` and, on Linux, with this process however that ends.
    Elsewhere a server orphaned by a kill is stopped by the next start. Many may run side by side, each on its
    own state directory; a second one on the same directory is refused.

    `settings` override the server's (names and values as in postgresql.conf). `allow_unsafe` permits
    settings that can lose acknowledged data, and skips flushing the new data directory. `progress` is called, from
    another thread too, with a line for people whenever a start takes its time.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
        allow_unsafe: bool = False,
        progress: Callable[[str], None] | None = None,
        stop_grace: float = 20.0,
        relocated: Path = RELOCATED,
    ) -> None:
        self._directory = state_dir.expanduser().resolve() / "pg"
        self._binaries = binaries
        self._settings = dict(settings or {})
        self._allow_unsafe = allow_unsafe
        self._progress = progress
        self._stop_grace = stop_grace
        self._relocated = relocated
        self._held = contextlib.ExitStack()
        self._thread: threading.Thread | None = None
        self._location: Location | None = None
        self._owner = os.getpid()
        self._changing = threading.Lock()
        self._current: Postmaster | None = None
        self._ready = threading.Event()
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> str:
        """Start the server, creating its database on the first start, and return a DSN for it.

        Returns when the server accepts connections; recovery after a crash may take its time. The DSN stays valid
        across restarts. Raises `ConfigurationError` when this directory, account or machine cannot do,
        `Unavailable` with the end of the server's log when the server does not start. After an
        error nothing runs and `start` may be tried again.
        """
        if self._thread is not None:
            raise RuntimeError("the embedded PostgreSQL was started already")
        self._ready.clear()
        self._settled.clear()
        self._stopping.clear()
        self._failure = None
        try:
            try:
                location, binaries = self._prepare()
            except OSError as error:
                raise ConfigurationError(f"The state directory {self._directory} cannot be used: {error}") from error
            self._location = location
            self._owner = os.getpid()
            self._thread = threading.Thread(
                target=self._supervise, args=(location, binaries), name="embedded-postgres", daemon=True
            )
            self._thread.start()
            atexit.register(self.stop)
            self._settled.wait()
            if self._failure is not None:
                raise self._failure
            self._ensure_database()
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Stop the server: fast shutdown, then an immediate one after the grace. Harmless when it does not run."""
        if os.getpid() != self._owner:
            return  # a fork of the owner, at its own exit
        atexit.unregister(self.stop)
        with self._changing:
            self._stopping.set()
            self._signal(signal.SIGINT)
        if self._thread is not None:
            self._thread.join(self._stop_grace)
            if self._thread.is_alive():
                with self._changing:
                    self._signal(signal.SIGQUIT)
                self._thread.join()
            self._thread = None
        self._held.close()

    @property
    def dsn(self) -> str:
        """The DSN of the database `runcord`, for the role of the same name."""
        return self._dsn(DATABASE)

    @property
    def administrator_dsn(self) -> str:
        """The same database as its superuser: for tests, and for repairs by hand."""
        return self._dsn(DATABASE, ADMINISTRATOR)

    @property
    def home(self) -> Path:
        """The directory of the data and the log: `pg` in the state directory, unless it had to be relocated."""
        return self._located().home

    @property
    def pid(self) -> int | None:
        """The process id of the server that accepts connections; None while there is none."""
        current = self._current
        return current.pid if current is not None and self._ready.is_set() else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare(self) -> tuple[Location, Binaries]:
        """Lock the directories and put everything in place that a start needs."""
        binaries = self._binaries or find_binaries()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock(self._directory)
        location = locate(self._directory, self._relocated)
        if location.home != self._directory:
            # A copied state directory has a lock of its own, but its link leads to the same data.
            self._lock(location.home)
        if location.account.dropped and run_as(location.account, [binaries.postgres, "--version"]).returncode != 0:
            binaries = copy_binaries(binaries, location.runtime)
        ensure_cluster(location, binaries, sync=not self._allow_unsafe)
        return location, binaries

    def _lock(self, directory: Path) -> None:
        lock = StateLock(directory / "lock")
        lock.acquire()
        self._held.callback(lock.release)

    def _ensure_database(self) -> None:
        role, database = sql.Identifier(ROLE), sql.Identifier(DATABASE)
        with psycopg.connect(self._dsn("postgres", ADMINISTRATOR), autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            check_durability(connection, allow_unsafe=self._allow_unsafe)

    def _dsn(self, database: str, user: str = ROLE) -> str:
        return make_conninfo(host=str(self._located().sockets), port=PORT, user=user, dbname=database)

    def _located(self) -> Location:
        if self._location is None:
            raise RuntimeError("the embedded PostgreSQL was never started")
        return self._location

    # --- the supervising thread -----------------------------------------------------------------------

    def _supervise(self, location: Location, binaries: Binaries) -> None:
        try:
            self._bring_up(location, binaries)
            while (postmaster := self._current) is not None:
                self._settled.set()
                code = postmaster.wait()
                self._ready.clear()
                if self._stopping.is_set():
                    return
                died = clock.monotonic()
                _log.warning("embedded_postgres_died", pid=postmaster.pid, exit_code=code, log=str(location.log))
                if not self._bring_up_again(location, binaries):
                    return
                _log.warning(
                    "embedded_postgres_restarted",
                    pid=self._current.pid,
                    seconds_down=round(clock.monotonic() - died, 3),
                )
        except BaseException as error:  # handed to the thread that waits in `start`
            self._failure = error
        finally:
            self._ready.clear()
            self._current = None
            self._settled.set()

    def _bring_up(self, location: Location, binaries: Binaries) -> None:
        """Start a server and wait until it is ready; wait too for what is left of a killed one to go away."""
        deadline = clock.monotonic() + _ATTACHED_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                clear_lost_server(location, self._report, self._stop_grace)
                with self._changing:
                    if self._stopping.is_set():
                        raise Unavailable("The embedded PostgreSQL was stopped while it started.")
                    self._current = Postmaster(location, binaries, self._settings)
                self._current.wait_until_ready(self._report)
            except StillAttached:
                if clock.monotonic() > deadline:
                    raise
                self._report("waiting for processes of a killed PostgreSQL server to end")
                self._stopping.wait(pause)
                pause = min(pause * 2, 1.0)
            else:
                self._ready.set()
                return

    def _bring_up_again(self, location: Location, binaries: Binaries) -> bool:
        """Restart for as long as it takes (a full disk may be cleared); return False when told to stop."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._bring_up(location, binaries)
            except (RuncordError, OSError) as error:
                if not self._stopping.is_set():
                    _log.error("embedded_postgres_restart_failed", reason=str(error), next_try_seconds=pause)
                    self._stopping.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return True
        return False

    def _report(self, line: str) -> None:
        _log.info("embedded_postgres_progress", line=line)
        if self._progress is not None:
            self._progress(line)

    def _signal(self, number: signal.Signals) -> None:
        if self._current is not None:
            self._current.signal(number)
