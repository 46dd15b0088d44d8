import os
from pathlib import Path

import psycopg
import pytest

from runcord.embedded.account import Account
from runcord.embedded.location import locate
from runcord.errors import ConfigurationError

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root runs the server as another account")


def test_the_socket_lies_beside_the_data_in_a_private_directory(open_dir: Path, account: Account) -> None:
    location = locate(open_dir)
    assert location.sockets.parent == location.home == open_dir
    found = location.sockets.stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o700, account.uid)


@pytest.mark.parametrize("name", ["x" * 100, "a,b"])
def test_a_path_that_no_socket_can_have_gets_a_short_private_directory(
    open_dir: Path, account: Account, name: str
) -> None:
    directory = open_dir / name
    directory.mkdir()
    location = locate(directory)
    try:
        assert location.home == directory
        assert len(os.fsencode(location.sockets)) < 60
        found = location.sockets.stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o700, account.uid)
        assert locate(directory).sockets == location.sockets
    finally:
        location.sockets.rmdir()


def test_a_short_directory_of_another_mode_is_not_trusted(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcord.embedded.location._short_bases", lambda _account: (open_dir,))
    directory = open_dir / ("x" * 100)
    directory.mkdir()
    locate(directory).sockets.chmod(0o777)
    with pytest.raises(ConfigurationError, match="too long for a socket"):
        locate(directory)


@only_root
def test_a_directory_that_the_account_cannot_enter_is_relocated_and_linked(open_dir: Path) -> None:
    closed = open_dir / "closed"
    (closed / "pg").mkdir(mode=0o700, parents=True)
    closed.chmod(0o700)
    location = locate(closed / "pg", relocated=open_dir / "elsewhere")
    assert location.home.parent == open_dir / "elsewhere"
    assert (closed / "pg" / "home").resolve() == location.home
    assert locate(closed / "pg", relocated=open_dir / "elsewhere") == location
    assert closed.stat().st_mode & 0o777 == 0o700


@only_root
def test_a_relocated_home_that_is_missing_is_not_replaced_silently(open_dir: Path) -> None:
    (open_dir / "home").symlink_to(open_dir / "gone")
    with pytest.raises(ConfigurationError, match="missing: bring it back"):
        locate(open_dir)


@only_root
def test_without_a_place_to_relocate_to_the_error_says_what_to_do(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        locate(closed, relocated=closed)


def test_a_server_runs_on_a_path_with_every_awkward_character(open_dir: Path, supervise) -> None:
    server = supervise(open_dir / f"""it's "{"long" * 25}", ü""")
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    sockets = Path(psycopg.conninfo.conninfo_to_dict(server.dsn)["host"])
    server.stop()
    sockets.rmdir()
