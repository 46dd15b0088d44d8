import os
import pwd
import subprocess
from pathlib import Path

import pytest

from runcord.embedded.account import Account, can_enter, choose_account, require_droppable, require_passwd_entry
from runcord.errors import ConfigurationError

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can act for other accounts")
NAMELESS = 54_321


def nobody(_name: str) -> pwd.struct_passwd:
    raise KeyError


def test_a_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    chosen = choose_account(tmp_path / "data")
    assert (chosen.uid, chosen.dropped) == (1234, False)


def test_a_user_cannot_use_the_data_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="belongs to user id"):
        choose_account(tmp_path)


@only_root
def test_root_drops_to_an_account_without_rights(tmp_path: Path) -> None:
    chosen = choose_account(tmp_path / "data")
    assert chosen.dropped
    assert pwd.getpwuid(chosen.uid).pw_name in {"postgres", "nobody"}


@only_root
def test_root_drops_to_the_owner_of_existing_data(tmp_path: Path) -> None:
    os.chown(tmp_path, NAMELESS, NAMELESS)
    assert choose_account(tmp_path) == Account(NAMELESS, NAMELESS, dropped=True)


def test_root_without_an_account_to_drop_to_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        choose_account(tmp_path / "data")


def test_a_user_without_a_passwd_entry_is_told_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=f"{NAMELESS}.*passwd.*DATABASE_URL"):
        require_passwd_entry(Account(NAMELESS, NAMELESS, dropped=False))


def test_a_process_that_may_not_change_its_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_command: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # root in a container without CAP_SETUID

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(ConfigurationError, match=r"not permitted here.*DATABASE_URL"):
        require_droppable(Account(NAMELESS, NAMELESS, dropped=True))


@only_root
def test_an_account_cannot_enter_what_is_closed_to_it(tmp_path: Path, open_dir: Path) -> None:
    somebody = Account(NAMELESS, NAMELESS, dropped=True)
    (open_dir / "closed").mkdir(mode=0o700)
    assert can_enter(somebody, open_dir)
    assert not can_enter(somebody, open_dir / "closed")
