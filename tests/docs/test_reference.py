"""The pages of the reference are made from the code, are current, and leave no error out."""

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .page import ROOT

REFERENCE = ROOT / "docs" / "reference"
GENERATORS = sorted(ROOT.glob("tools/generate_*_docs.py"))
INTERNAL = {"error", "configuration_error", "unknown_event_type"}


def error_codes() -> Iterator[tuple[str, str]]:
    """Yield class and code of every error of the server, read from the source and not from what was imported."""
    for path in (ROOT / "src" / "runcord").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    match line:
                        case (
                            ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str() as code))
                            | ast.AnnAssign(target=ast.Name("code"), value=ast.Constant(str() as code))
                        ):
                            yield node.name, code
                        case _:
                            pass


def test_there_are_generators_and_errors() -> None:
    assert len(GENERATORS) >= 4
    assert {("RuncordError", "error"), ("RunNotFound", "run_not_found"), ("MalformedJson", "malformed_json")} <= set(
        error_codes()
    )


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda path: path.name)
def test_the_pages_are_current(
    generator: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(generator), "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(generator), run_name="__main__")
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda path: path.name)
def test_a_page_of_the_reference_names_the_generator_that_makes_it(page: Path) -> None:
    named = re.search(r"tools/(generate_\w+_docs\.py)", page.read_text("utf-8"))
    assert named is not None
    assert ROOT / "tools" / named[1] in GENERATORS


@pytest.mark.parametrize(("name", "code"), sorted(set(error_codes())))
def test_the_reference_explains_every_error(name: str, code: str) -> None:
    page = (REFERENCE / "errors.md").read_text("utf-8")
    rows = re.findall(rf"^\| `{code}` \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 1, f"{name} ({code}): run tools/generate_error_docs.py"
    is_shown = f"\n| `{code}` |" in page.partition("## Not for clients")[0]
    assert is_shown == (code not in INTERNAL)
