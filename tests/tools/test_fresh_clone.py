"""What a newcomer types works: both commands, in a clone of HEAD, with a home that never saw Runcord."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("RUNCORD_TEST_FRESH_CLONE") != "1",
        reason="installs everything anew, for minutes: set RUNCORD_TEST_FRESH_CLONE=1 (.ci/run does)",
    ),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("newcomer") / "a clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True, timeout=60)
    (clone.parent / "home").mkdir()
    return clone


def run(clone: Path, *command: str) -> str:
    """Run `command` of the clone from elsewhere, as its newcomer, and return what it printed."""
    own = ("RUNCORD_", "PYTEST_", "PYTHON", "VIRTUAL_ENV", "XDG_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    outcome = subprocess.run(
        [clone / command[0], *command[1:]],
        cwd=clone.parent,
        env={**environment, "HOME": str(clone.parent / "home")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=480,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


def processes_of(clone: Path) -> list[str]:
    """Return the command lines of the processes that were started from the clone."""
    lines: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended since the listing
        if str(clone) in line:
            lines.append(line)
    return lines


def test_the_demo_runs_in_a_fresh_clone_and_leaves_no_process_behind(clone: Path) -> None:
    output = run(clone, "tools/demo", "--limit", "40")

    assert re.search(r"dead.letter", output, re.IGNORECASE), output
    assert processes_of(clone) == []


def test_the_tests_run_in_a_fresh_clone(clone: Path) -> None:
    output = run(clone, "tools/test", "--quick", "tests/tools/test_demo_files.py")

    assert re.fullmatch(r"\d+ passed(, \d+ skipped)? in [\d.]+s.*", output.splitlines()[-1]), output
