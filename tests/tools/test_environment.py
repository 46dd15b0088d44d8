"""The commands' bootstrap: what it says on machines that lack something, and when it installs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python{VERSION}"

HIDE = """
import importlib.machinery, os
find_spec = importlib.machinery.PathFinder.find_spec
hidden = os.environ["HIDDEN_MODULES"].split()
importlib.machinery.PathFinder.find_spec = lambda name, *rest: None if name in hidden else find_spec(name, *rest)
"""

RECORDING_PIP = """
import os, sys
with open(os.environ["INSTALLS"], "a") as installs:
    installs.write(sys.argv[-1].rpartition("[")[2] + "\\n")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project root with a space in its path that holds what the bootstrap reads."""
    root = tmp_path / "a project"
    (root / "tools").mkdir(parents=True)
    for name in ("_environment.sh", "_environment.py"):
        shutil.copy(TOOLS / name, root / "tools")
    (root / "pyproject.toml").write_text("[project]\n")
    return root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory to be the whole PATH, with one Python in it."""
    path = tmp_path / "bin"
    path.mkdir()
    executable(path / "python3", f'exec "{BASE_PYTHON}" "$@"')
    return path


@pytest.fixture
def installs(root: Path, tmp_path: Path) -> Path:
    """The extras that were asked of pip, a line each; the environment's pip is a recorder."""
    venv = root / ".venv"
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    pip = venv / "lib" / f"python{VERSION}" / "site-packages" / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(RECORDING_PIP)
    return tmp_path / "installs"


def executable(path: Path, script: str) -> Path:
    path.unlink(missing_ok=True)  # an environment's python is a link to the real one
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def start(
    root: Path, path: Path, extras: str = "embedded", environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    script = '. "$root/tools/_environment.sh"; make_environment "$extras"; echo "$python"'
    return subprocess.Popen(
        ["/bin/sh", "-euc", script],
        env={"PATH": str(path), "root": str(root), "extras": extras, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    with process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def refusal(process: subprocess.Popen[str]) -> str:
    """Return the one line that a bootstrap said before it gave up."""
    status, out, err = finish(process)
    assert (status, out, err.count("\n")) == (3, "", 1), err
    return err


def test_a_machine_without_python_is_told_what_to_install(root: Path, path: Path) -> None:
    (path / "python3").unlink()

    assert "apt-get install python3" in refusal(start(root, path))


@pytest.mark.parametrize("place", ["bin/python3.12", "another bin/python3"])
def test_a_python_that_is_too_old_is_passed_over(root: Path, path: Path, installs: Path, place: str) -> None:
    good = path.parent / place
    good.parent.mkdir(exist_ok=True)
    (path / "python3").rename(good)
    executable(path / "python3", "exit 1")

    search = {"PATH": f"{path}:{path.parent / 'another bin'}", "INSTALLS": str(installs)}
    status, out, err = finish(start(root, path, environment=search))

    assert (status, out) == (0, f"{root}/.venv/bin/python\n"), err


def test_a_named_python_that_is_too_old_is_refused(root: Path, path: Path) -> None:
    old = executable(path / "old", "exit 1")

    assert f"RUNCORD_PYTHON={old}" in refusal(start(root, path, environment={"RUNCORD_PYTHON": str(old)}))


def test_without_venv_and_pip_the_package_to_install_is_named(root: Path, path: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    hidden = {"PYTHONPATH": str(tmp_path), "HIDDEN_MODULES": "ensurepip pip virtualenv"}

    line = refusal(start(root, path, environment=hidden))

    assert f"apt-get install python{VERSION}-venv" in line
    assert not (root / ".venv").exists()


def test_a_directory_that_is_no_environment_is_left_alone(root: Path, path: Path) -> None:
    precious = root / "notes" / "precious.txt"
    precious.parent.mkdir()
    precious.touch()

    line = refusal(start(root, path, environment={"RUNCORD_VENV": str(precious.parent)}))

    assert "RUNCORD_VENV" in line
    assert precious.exists()


def test_a_place_that_cannot_be_written_is_named(root: Path, path: Path) -> None:
    venv = root / "pyproject.toml" / "venv"

    assert str(venv) in refusal(start(root, path, environment={"RUNCORD_VENV": str(venv)}))


def test_an_environment_of_another_python_than_the_one_named_is_refused(root: Path, path: Path, installs: Path) -> None:
    executable(root / ".venv" / "bin" / "python", f'echo "{root}/.venv"; echo 3.99')

    line = refusal(start(root, path, environment={"RUNCORD_PYTHON": str(path / "python3")}))

    assert "holds Python 3.99" in line
    assert not installs.exists()


def test_a_second_start_installs_nothing_and_says_nothing(root: Path, path: Path, installs: Path) -> None:
    environment = {"INSTALLS": str(installs)}
    first = finish(start(root, path, environment=environment))
    second = finish(start(root, path, environment=environment))

    assert first[0] == 0, first[2]
    assert second == (0, f"{root}/.venv/bin/python\n", "")
    assert installs.read_text() == "embedded]\n"


def test_starts_at_once_install_once(root: Path, path: Path, installs: Path) -> None:
    processes = [start(root, path, environment={"INSTALLS": str(installs)}) for _ in range(4)]

    assert [finish(process)[0] for process in processes] == [0] * 4
    assert installs.read_text() == "embedded]\n"


def test_extras_are_installed_when_they_are_first_asked_for(root: Path, path: Path, installs: Path) -> None:
    environment = {"INSTALLS": str(installs)}
    for extras in ("embedded", "embedded,test", "embedded", "embedded,test"):
        assert finish(start(root, path, extras, environment))[0] == 0

    assert installs.read_text() == "embedded]\nembedded,test]\n"


def test_a_changed_project_file_installs_anew(root: Path, path: Path, installs: Path) -> None:
    environment = {"INSTALLS": str(installs)}
    assert finish(start(root, path, environment=environment))[0] == 0
    (root / "pyproject.toml").write_text('[project]\nname = "changed"\n')
    assert finish(start(root, path, environment=environment))[0] == 0

    assert installs.read_text() == "embedded]\nembedded]\n"


def test_a_failed_install_shows_why_and_is_tried_again(root: Path, path: Path, installs: Path) -> None:
    environment = {"INSTALLS": str(installs)}
    pip = root / ".venv" / "lib" / f"python{VERSION}" / "site-packages" / "pip" / "__main__.py"
    pip.write_text("raise SystemExit('no space left')")
    status, out, err = finish(start(root, path, environment=environment))

    assert (status, out) == (1, "")
    assert "no space left" in err
    assert "FAILED: " in err

    pip.write_text(RECORDING_PIP)
    assert finish(start(root, path, environment=environment))[0] == 0
    assert installs.exists()


def test_the_stamp_names_what_is_installed(root: Path, path: Path, installs: Path) -> None:
    assert finish(start(root, path, "embedded,test", {"INSTALLS": str(installs)}))[0] == 0

    stamp = json.loads((root / ".venv" / "runcord-installed.json").read_text())
    assert stamp["extras"] == ["embedded", "test"]
    assert stamp["root"] == str(root)
