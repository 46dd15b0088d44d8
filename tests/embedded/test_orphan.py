"""What a killed process leaves behind: a running server, a stale pid file, a pid that means somebody else now."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runcord.embedded import find_binaries
from runcord.embedded.account import choose_account, clean_environment
from runcord.embedded.binaries import copy_binaries
from runcord.embedded.postmaster import is_server_of

pytestmark = pytest.mark.faults


@pytest.fixture
def stopped(state_dir: Path, supervise) -> Path:
    """The home of a server that was started and stopped."""
    server = supervise(state_dir)
    server.start()
    server.stop()
    return server.home


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A live process that is no PostgreSQL server."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate(b"\n", timeout=10)


@pytest.fixture
def zombie() -> Iterator[int]:
    """The id of a process that has ended and that nobody has waited for."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def leave_behind(home: Path, pid: int) -> None:
    """Write the files that a server with this pid would have left."""
    (home / "data" / "postmaster.pid").write_text(
        f"{pid}\n{home / 'data'}\n1700000000\n5432\n{home / 'socket'}\n\n  1234567    987654\nready   \n"
    )
    (home / "socket" / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{home / 'data'}\n1700000000\n5432\n")


def works(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_the_pid_of_another_live_process_is_stale(stopped: Path, state_dir: Path, supervise, bystander) -> None:
    leave_behind(stopped, bystander.pid)
    assert works(supervise(state_dir).start())
    assert bystander.poll() is None


def test_the_pid_of_a_zombie_is_stale(stopped: Path, state_dir: Path, supervise, zombie: int) -> None:
    leave_behind(stopped, zombie)
    assert works(supervise(state_dir).start())


def test_a_pid_file_cut_short_is_no_obstacle(stopped: Path, state_dir: Path, supervise) -> None:
    leave_behind(stopped, 1)
    (stopped / "data" / "postmaster.pid").write_text("1\n")
    assert works(supervise(state_dir).start())


def test_the_server_of_another_state_directory_is_not_taken_for_ours(
    stopped: Path, state_dir: Path, open_dir: Path, supervise
) -> None:
    other = supervise(open_dir / "other")
    other.start()
    leave_behind(stopped, other.pid)
    assert works(supervise(state_dir).start())
    assert works(other.dsn)


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux ties a child's life to its parent's")
def test_a_killed_parent_takes_the_server_along(state_dir: Path, drive, supervise, wait_until) -> None:
    driven = drive(state_dir)
    data = Path(driven.said["home"], "data")
    with psycopg.connect(driven.said["dsn"]) as connection:
        connection.execute("CREATE TABLE kept ()")
    assert is_server_of(driven.said["pid"], data)
    driven.process.kill()
    wait_until(lambda: not is_server_of(driven.said["pid"], data))
    with psycopg.connect(supervise(state_dir).start()) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)


def test_the_next_start_need_not_wait_for_a_killed_parents_server(state_dir: Path, drive, supervise) -> None:
    driven = drive(state_dir)
    driven.process.kill()
    driven.process.wait()
    assert works(supervise(state_dir).start())


def test_parent_and_server_killed_at_once_leave_a_database_that_recovers(state_dir: Path, drive, supervise) -> None:
    driven = drive(state_dir)
    with psycopg.connect(driven.said["dsn"]) as connection:
        connection.execute("CREATE TABLE kept ()")
    # Stopped first, so that it cannot obey the signal that its parent's death sends.
    os.kill(driven.said["pid"], signal.SIGSTOP)
    driven.process.kill()
    driven.process.wait()
    os.kill(driven.said["pid"], signal.SIGKILL)
    with psycopg.connect(supervise(state_dir).start()) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)


def test_a_server_that_outlived_its_parent_is_stopped_by_the_next_start(
    stopped: Path, state_dir: Path, supervise, wait_until
) -> None:
    account = choose_account(stopped / "data")
    binaries = copy_binaries(find_binaries(), stopped / "runtime") if account.dropped else find_binaries()
    command = [binaries.postgres, "-D", stopped / "data", "-c", "listen_addresses="]
    orphan = subprocess.Popen(
        [*command, "-c", f"unix_socket_directories={stopped / 'socket'}"],
        user=account.uid if account.dropped else None,
        group=account.gid if account.dropped else None,
        extra_groups=[] if account.dropped else None,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        wait_until(lambda: "ready" in read(stopped / "data" / "postmaster.pid"))
        lines: list[str] = []
        server = supervise(state_dir, progress=lines.append)
        assert works(server.start())
        assert server.pid != orphan.pid
        assert any(str(orphan.pid) in line for line in lines)
    finally:
        assert orphan.wait(timeout=10) == 0


def read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
