"""What README, tutorials and how-tos tell the reader to do is done, against a real server."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from .page import PAGES, ROOT, blocks, missing, script, unordered

EXECUTED = [path for path in PAGES if any(block.order == "run" for block in blocks(path))]

ON_A_DATABASE_OF_ITS_OWN = {"run-in-production.md": "runcord_prod", "operate-the-database.md": "runcord_copy"}
"""What the page calls a database that it makes, which its reader reaches as `NEW_URL`."""


PATIENCE_SECS = 90


def execute(text: str, environment: Mapping[str, str], output: Path) -> tuple[int, str]:
    """Run a script in bash; return its exit code and what it printed. Nothing that it started outlives it."""
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", text],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            with contextlib.suppress(ProcessLookupError):  # it had started nothing that is still there
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, output.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.name)
def test_a_page_does_what_it_says(path: Path, reader: dict[str, str], tmp_path: Path) -> None:
    found = list(blocks(path))
    environment = dict(reader)
    if name := ON_A_DATABASE_OF_ITS_OWN.get(path.name):
        environment["NEW_URL"] = make_conninfo(reader["ADMIN_URL"], user="runcord", dbname=name)
    status, printed = execute(script(found, tmp_path), environment, tmp_path / "printed")
    assert status == 0, printed
    assert not list(missing(found, printed))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_says_whether_it_is_executed(path: Path) -> None:
    assert not list(unordered(list(blocks(path))))


def test_the_pages_are_executed_at_all() -> None:
    assert {"README.md", "first-run.md", "run-in-production.md", "write-a-worker.md"} <= {
        path.name for path in EXECUTED
    }


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page whose last command fails, and which shows what it does not print."""
    path = tmp_path / "page.md"
    path.write_text(
        "```sh {run}\necho seen\n```\n```text {shown}\nseen\nunseen\n```\n```sh {run}\nfalse\n```\n```sh\n```\n"
    )
    return path


def test_a_page_that_is_wrong_is_found(page: Path, tmp_path: Path) -> None:
    found = list(blocks(page))
    status, printed = execute(script(found, tmp_path), os.environ, tmp_path / "printed")
    assert status == 1
    assert [line.splitlines()[0] for line in missing(found, printed)] == ["page.md:4 shows 'unseen', printed was:"]
    assert list(unordered(found)) == ["page.md:11"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_shows_of_an_example_is_in_it(path: Path) -> None:
    for block in blocks(path):
        if block.order == "from":
            [module] = ROOT.glob(f"docs/examples/*/src/{block.name}/__init__.py")
            assert block.text in module.read_text("utf-8"), block.place
