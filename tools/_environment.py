"""Make the project's virtual environment, or see that it is made already, and print where it is.

    python tools/_environment.py ROOT EXTRAS

Runs on the bare interpreter: the standard library is all there is before the environment exists. Installs the
project in place with its EXTRAS ("embedded,test") and leaves a stamp, so that the next start costs nothing until
pyproject.toml changes. Only the path goes to stdout. Two processes at once take turns.

`RUNCORD_VENV` names another directory than `.venv` in the project root. pip takes its settings from the
environment and its files as always.

Exit status: 0; 3 when the machine lacks something, told in one line; 1 when installing failed, after pip's output.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

STAMP = "runcord-installed.json"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(root: Path, extras: frozenset[str]) -> None:
    venv = Path(os.environ.get("RUNCORD_VENV") or root / ".venv").absolute()
    with _one_at_a_time(venv):
        if not _works(venv):
            _refuse_foreign(venv)
            _create(venv)
        _install(venv, root, extras)
    print(venv)


@contextmanager
def _one_at_a_time(venv: Path) -> Iterator[None]:
    """Hold the lock beside the environment; the kernel releases it however this process ends."""
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        lock = (venv.parent / f"{venv.name}.lock").open("w")
    except OSError as error:
        _give_up(f"Cannot write beside {venv} ({error.strerror}): name a writable directory in RUNCORD_VENV.")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _works(venv: Path) -> bool:
    """Tell whether the environment is whole, at the place it was made for, and on a Python that is still there."""
    if not (venv / "pyvenv.cfg").exists():
        return False
    probe = "import sys, pip; print(sys.prefix); print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.check_output(
            [_python(venv), "-P", "-c", probe], text=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    prefix, version = answer.splitlines()
    if os.environ.get("RUNCORD_PYTHON") and version != VERSION:
        _give_up(
            f"{venv} holds Python {version}, RUNCORD_PYTHON is {VERSION}:"
            " remove the directory, or name another in RUNCORD_VENV."
        )
    made_for = _stamp(venv).get("venv", str(venv))
    return Path(prefix).resolve() == venv.resolve() and made_for == str(venv)


def _refuse_foreign(venv: Path) -> None:
    """Keep from clearing a directory that is no virtual environment."""
    if venv.exists() and not (venv / "pyvenv.cfg").exists() and (not venv.is_dir() or any(venv.iterdir())):
        _give_up(f"{venv} exists and is no virtual environment: remove it, or name another in RUNCORD_VENV.")


def _create(venv: Path) -> None:
    """Make an environment that has pip, by the first way that this machine offers."""
    commands = _creation(venv)
    if not commands:
        _give_up(
            f"Python {VERSION} cannot make a virtual environment here:"
            f" apt-get install python{VERSION}-venv (elsewhere: its venv and ensurepip modules)."
        )
    _say(f"Making the virtual environment {venv}; the first time takes a minute.")
    if venv.exists():
        shutil.rmtree(venv)
    for command in commands:
        _run(command)


def _creation(venv: Path) -> list[list[str]]:
    """Return the commands to run, none where there is no way; Debian packages ensurepip apart."""
    here = [sys.executable, "-P", "-m"]
    if _has("venv") and _has("ensurepip"):
        return [[*here, "venv", str(venv)]]
    if _has("venv") and _has("pip"):
        pip_into_it = [*here, "pip", "--python", _python(venv), "install", "--quiet", "pip"]
        return [[*here, "venv", "--without-pip", str(venv)], pip_into_it]
    if _has("virtualenv"):
        return [[*here, "virtualenv", "--quiet", str(venv)]]
    if tool := shutil.which("virtualenv"):
        return [[tool, "--quiet", "--python", sys.executable, str(venv)]]
    if tool := shutil.which("uv"):
        return [[tool, "venv", "--quiet", "--seed", "--python", sys.executable, str(venv)]]
    return []


def _install(venv: Path, root: Path, extras: frozenset[str]) -> None:
    """Install the project and its extras, unless the stamp says that just this is installed."""
    state = {
        "venv": str(venv),
        "root": str(root),
        "pyproject": hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest(),
    }
    stamp = _stamp(venv)
    installed = frozenset(stamp.pop("extras", []))
    unchanged = stamp == state
    if unchanged and extras <= installed:
        return
    _say(f"Installing Runcord[{','.join(sorted(extras))}] into {venv}.")
    (venv / STAMP).unlink(missing_ok=True)
    _run([_python(venv), "-P", "-m", "pip", "install", "--quiet", "-e", f"{root}[{','.join(sorted(extras))}]"])
    present = sorted(extras | installed) if unchanged else sorted(extras)
    (venv / STAMP).write_text(json.dumps({**state, "extras": present}))


def _stamp(venv: Path) -> dict[str, Any]:
    try:
        return json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}


def _run(command: list[str]) -> None:
    """Run `command`; show what it printed only when it fails, and end with it."""
    quiet = {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    outcome = subprocess.run(
        command,
        env={**os.environ, **quiet, "PIP_USER": "0"},  # a user-wide install has no place in an environment
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if outcome.returncode:
        _say(outcome.stdout.rstrip())
        _say(f"FAILED: {' '.join(command)} (exit status {outcome.returncode})")
        sys.exit(1)


def _python(venv: Path) -> str:
    return str(venv / "bin" / "python")


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _give_up(line: str) -> NoReturn:
    _say(line)
    sys.exit(3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), frozenset(sys.argv[2].split(",")))
