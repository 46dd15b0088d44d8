"""The reference holds every setting and every command, and says what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest

from runcord.cli.environment import environment_name
from runcord.settings import Settings

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("generate_cli_docs", ROOT / "tools" / "generate_cli_docs.py")
assert SPEC is not None and SPEC.loader is not None
generator = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generator)


def test_the_reference_is_what_the_code_says() -> None:
    for path, text in generator.pages().items():
        assert path.read_text() == text, f"{path.name} is outdated: run tools/generate_cli_docs.py"


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_documented_with_its_meaning(field: str) -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    row = re.search(rf"^\| `{environment_name(field)}` \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    assert row is not None and len(row[1]) > 15


@pytest.mark.parametrize(
    ("path", "command"), generator.commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_documented_with_its_meaning(path: str, command: object) -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    section = page.split(f"## `{path}`\n", 1)[1].split("\n## ", 1)[0]
    assert command.help  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.help, f"{path} does not say what {parameter.name} means"
        spelling = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        assert f"`{spelling}" in section
