"""The tests that the pages name are there."""

import re

import pytest

from .page import ROOT

NAMED = sorted(
    {
        (page.name, name)
        for page in ROOT.glob("docs/**/*.md")
        for name in re.findall(r"`((?:tests|src|tools|docs)/[\w./-]+)`", page.read_text("utf-8"))
    }
)


@pytest.mark.parametrize(("page", "name"), NAMED, ids=lambda value: value)
def test_a_file_that_a_page_names_is_there(page: str, name: str) -> None:
    assert (ROOT / name).exists(), f"{page} names {name}"


def test_the_pages_name_tests() -> None:
    assert ("ledger.md", "tests/faults/test_kills.py") in NAMED
