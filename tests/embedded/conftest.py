"""State directories that any account can reach, servers on them, and waiting without sleeping."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runcord import clock
from runcord.embedded import EmbeddedPostgres
from runcord.embedded.account import Account, choose_account
from runcord.testing.postgres import directory_for_throwaway_files

Supervise = Callable[..., EmbeddedPostgres]
WaitUntil = Callable[[Callable[[], object]], None]


@dataclass
class Driven:
    """A process of its own with an embedded server, and what it said when that started."""

    process: subprocess.Popen[str]
    said: dict[str, Any]


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A short path that every account can enter; pytest's own directories are closed to other users."""
    path = Path(tempfile.mkdtemp(prefix="rc-", dir=directory_for_throwaway_files()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def used_state_dir() -> Iterator[Path]:
    """A state directory whose server ran once and stopped, to be copied."""
    path = Path(tempfile.mkdtemp(prefix="rc-", dir=directory_for_throwaway_files()))
    path.chmod(0o755)
    with EmbeddedPostgres(path / "state"):
        pass
    yield path / "state"
    shutil.rmtree(path)


@pytest.fixture
def state_dir(open_dir: Path, used_state_dir: Path) -> Path:
    """A state directory of its own for the test, spared the second that a first start takes."""
    subprocess.run(["cp", "-a", used_state_dir, open_dir], check=True)  # with owners, which shutil drops
    return open_dir / "state"


@pytest.fixture
def account(open_dir: Path) -> Account:
    """The account that a new server runs as here."""
    return choose_account(open_dir / "no-data-yet")


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    """Make supervisors that are stopped at the end of the test, whatever it did."""
    made: list[EmbeddedPostgres] = []

    def make(state_dir: Path, **options: Any) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(state_dir, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def drive() -> Iterator[Callable[..., Driven]]:
    """Run embedded servers in processes of their own."""
    processes: list[subprocess.Popen[str]] = []

    def start(state_dir: Path, **order: object) -> Driven:
        process = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("driver.py"),
                json.dumps({"state_dir": str(state_dir), **order}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the driver died before it said anything; its stderr is above"
        return Driven(process, json.loads(line))

    yield start
    for process in processes:
        process.communicate(timeout=30)


@pytest.fixture
def wait_until() -> WaitUntil:
    """Wait until a condition holds, or fail after ten seconds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = clock.monotonic() + 10
        pause = threading.Event()
        while not condition():
            assert clock.monotonic() < deadline, "the condition did not come to hold"
            pause.wait(0.005)

    return wait
