"""Every link between the pages leads somewhere."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .page import ROOT

_FENCES = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Return the Markdown files of the project: those of git, or, where there is none, the documentation."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() if listed.returncode == 0 else []
    return [ROOT / name for name in names] or [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]


def anchors(path: Path) -> set[str]:
    """Return what a link's part behind `#` may be: the headings, as GitHub turns them into names."""
    headings = _HEADING.findall(_FENCES.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(path: Path) -> Iterator[str]:
    """Yield the internal links of a page that lead nowhere."""
    for target in _LINK.findall(_FENCES.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert not list(broken(path))


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Two words\n[a](#two-words) [b](#three) [c](page.md#two-words) [d](gone.md) [e](https://gone.invalid)\n"
    )
    assert list(broken(page)) == ["#three", "gone.md"]


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    reached, pending = set[Path](), [ROOT / "docs" / "README.md"]
    while pending:
        page = pending.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            targets = (target.partition("#")[0] for target in _LINK.findall(page.read_text("utf-8")))
            found = ((page.parent / name).resolve() for name in targets if name and ":" not in name)
            pending += [path for path in found if path.is_file()]
    assert set(ROOT.glob("docs/**/*.md")) <= reached
