"""The demo's bad files fail for real, and its README knows each of them."""

import ast
import re
import sys
import warnings
from pathlib import Path

import pytest

DEMO_FILES = Path(__file__).parents[2] / "tools" / "demo_files"
PARSES_FROM = {"template_string.py": (3, 14)}


@pytest.mark.parametrize("path", sorted(DEMO_FILES.glob("*.py")), ids=lambda path: path.name)
def test_a_demo_file_does_not_parse(path: Path) -> None:
    if sys.version_info >= PARSES_FROM.get(path.name, (4,)):
        pytest.skip(f"{path.name} is good syntax in this Python")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning raised as an error would pass for the file's own
        with pytest.raises((SyntaxError, ValueError)):
            ast.parse(path.read_bytes(), path.name)


def test_the_readme_lists_every_demo_file() -> None:
    listed = re.findall(r"^- `(\S+)`: ", (DEMO_FILES / "README.md").read_text(), flags=re.MULTILINE)

    assert listed == sorted(path.name for path in DEMO_FILES.glob("*.py"))
