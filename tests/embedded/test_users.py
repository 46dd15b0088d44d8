"""The supervisor run by users of every kind: root below a closed home, an ordinary user, a user without a name."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import runcord
from runcord.embedded import find_binaries
from runcord.embedded.account import Account, run_as
from runcord.embedded.binaries import copy_binaries

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can run the server as other users")

NAMELESS = 54_321


@pytest.fixture
def order_as(open_dir: Path):
    """Make the orders for a driver that becomes another user, who may be unable to read this environment."""
    package = open_dir / "package"
    shutil.copytree(Path(runcord.__file__).parent, package / "runcord", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX", package], check=True)
    binaries = copy_binaries(find_binaries(), open_dir / "programs")

    def order(uid: int) -> dict[str, object]:
        home = open_dir / f"home-{uid}"
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
        for interpreter in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
            command = [interpreter, "-I", "-S", "-c", "import ctypes"]
            if interpreter and run_as(Account(uid, uid, dropped=True), command).returncode == 0:
                return {
                    "state_dir": home / "state",
                    "uid": uid,
                    "package": str(package),
                    "bindir": str(binaries.bindir),
                    "interpreter": interpreter,
                }
        pytest.skip("NOT TESTED: no Python on this machine can be executed by other users")

    return order


def test_an_ordinary_user_runs_the_server_as_itself(order_as, drive) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    driven = drive(**order_as(nobody))
    assert "error" not in driven.said, driven.said
    assert Path(f"/proc/{driven.said['pid']}").stat().st_uid == nobody
    with psycopg.connect(driven.said["dsn"]) as connection:
        connection.execute("SELECT 1")


def test_a_user_without_a_passwd_entry_is_told_what_to_do(order_as, drive) -> None:
    driven = drive(**order_as(NAMELESS))
    assert driven.said["error"] == "configuration_error"
    assert "DATABASE_URL" in driven.said["message"]


def test_root_with_a_closed_home_simply_succeeds(open_dir: Path, supervise) -> None:
    closed = open_dir / "root"
    closed.mkdir(mode=0o700)
    server = supervise(closed / "state", relocated=open_dir / "var-lib")
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept ()")
    server.stop()
    assert server.home.parent == open_dir / "var-lib"
    with psycopg.connect(supervise(closed / "state", relocated=open_dir / "var-lib").start()) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)


def test_root_with_programs_that_the_account_cannot_reach_runs_a_copy(open_dir: Path, supervise) -> None:
    closed = open_dir / "venv"
    closed.mkdir(mode=0o755)
    programs = copy_binaries(find_binaries(), closed)
    closed.chmod(0o700)
    server = supervise(open_dir / "state", binaries=programs)
    server.start()
    executed = Path(f"/proc/{server.pid}/exe").readlink()
    assert executed.is_relative_to(server.home / "runtime")


def test_a_copied_state_directory_cannot_reach_for_the_data_of_the_first(open_dir: Path, supervise) -> None:
    closed = open_dir / "root"
    closed.mkdir(mode=0o700)
    server = supervise(closed / "state", relocated=open_dir / "var-lib")
    server.start()
    shutil.copytree(closed / "state", closed / "copy", symlinks=True)
    with pytest.raises(Exception, match=f"in use by process {os.getpid()}:"):
        supervise(closed / "copy", relocated=open_dir / "var-lib").start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT 1")
