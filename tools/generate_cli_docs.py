"""Make the reference of the command line and of the settings from the code.

python tools/generate_cli_docs.py           write docs/reference/cli.md and docs/reference/settings.md
python tools/generate_cli_docs.py --check   exit with 1 when they are not current
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from runcord.cli.app import app
from runcord.cli.environment import environment_name
from runcord.settings import Settings

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Made by tools/generate_cli_docs.py: edit the code, then run it. -->\n"

CLI_HEAD = """# The command line

`runcord` (or `python -m runcord`). Settings come from the environment: [settings](settings.md).

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | failed: the answer is no, or a thing is not there |
| 2 | wrong usage or configuration; nothing was tried |
| 3 | the server or its database is not available; trying again later may help |
| 128 + n | ended by signal n, after a second one or before there was anything to end |

Results go to stdout, everything else to stderr. Errors are one line; `RUNCORD_LOG_LEVEL=debug` adds where they came
from. Listing commands take `--format json`. Colours are left out where no terminal is, and with `NO_COLOR`.

`migrate`, `check`, `projects` and `keys` use the database: that of the dev server in `--state-dir` if it is given,
else the one at `DATABASE_URL`, else that of the dev server in the usual state directory. `runs` and `jobs` use the
HTTP API: of the dev server in `--state-dir` if it is given, else the one at `RUNCORD_BASE_URL` with
`RUNCORD_API_KEY`, else of the dev server in the usual state directory.
"""

SETTINGS_HEAD = """# Settings

Settings come from the environment alone. `runcord check` prints them as they were understood, secrets masked, and
says what is wrong.

| variable | default | meaning |
| --- | --- | --- |
"""

SETTINGS_TAIL = """
Options of `runcord dev` and `runcord serve` come before their variables. `runcord dev` never uses `DATABASE_URL`,
listens on a free port when none was asked for and 8787 is taken, and logs warnings only unless a level is set.

## Read by clients and the command line

| variable | meaning |
| --- | --- |
| `RUNCORD_BASE_URL` | Where the server is, for `runcord runs`, `runcord jobs` and the Python client. |
| `RUNCORD_API_KEY` | The API key that they send. |
| `NO_COLOR` | Set to anything: no colours. |
"""


def settings_page() -> str:
    """Return the page of the settings."""
    rows = "".join(
        f"| `{environment_name(name)}` | {_default(name, field)} | {_meaning(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return NOTE + SETTINGS_HEAD + rows + SETTINGS_TAIL


def _default(name: str, field: FieldInfo) -> str:
    if name == "state_dir":
        return "`~/.local/share/runcord`"  # not this machine's
    value = field.default
    if value is None or value is PydanticUndefined:
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _meaning(field: FieldInfo) -> str:
    bounds = [_bound(constraint) for constraint in field.metadata]
    limits = ", ".join(bound for bound in bounds if bound)
    text = field.description or ""
    return f"{text} ({limits})" if limits else text


def _bound(constraint: Any) -> str:
    match constraint:
        case annotated_types.Ge(ge=value):
            return f"≥ {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"≤ {value}"
        case annotated_types.MinLen(min_length=value):
            return f"at least {value} characters"
        case _:
            pattern = getattr(constraint, "pattern", None)
            return "" if pattern is None else f"`{pattern.replace('|', chr(92) + '|')}`"


def cli_page() -> str:
    """Return the page of the commands."""
    return NOTE + CLI_HEAD + "".join(_command(path, command) for path, command in commands())


def commands() -> list[tuple[str, Any]]:
    """Return every command that does something, with what is typed to call it."""
    return list(_walk("runcord", get_command(app)))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    else:
        for name in inner:
            yield from _walk(f"{path} {name}", inner[name])


def _command(path: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([path, *(_metavar(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])])
    text = f"\n## `{path}`\n\n{_unwrapped(command.help)}\n\n```text\n{usage}\n```\n"
    if arguments or options:
        rows = [f"| `{_metavar(argument)}` | {_help(argument)} |\n" for argument in arguments]
        rows += [f"| {_spelling(option)} | {_help(option)} |\n" for option in options]
        text += "\n| argument or option | meaning |\n| --- | --- |\n" + "".join(rows)
    return text


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _metavar(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _spelling(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return f"`{names}`" if option.is_flag else f"`{names} {option.metavar or _kind(option)}`"


def _kind(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    return r"\|".join(get_args(annotation)) if get_origin(annotation) is Literal else option.name.upper()


def _help(parameter: Any) -> str:
    notes = [(parameter.help or "").strip()]
    if parameter.required and parameter.param_type_name == "option":
        notes.append("Required.")
    if parameter.default not in (None, False, ()) and not parameter.required:
        notes.append(f"Default: `{parameter.default}`.")
    return " ".join(note for note in notes if note).replace("|", r"\|")


def pages() -> dict[Path, str]:
    """Return every file to be written, with its text."""
    return {REFERENCE / "cli.md": cli_page(), REFERENCE / "settings.md": settings_page()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the reference of the command line and of the settings.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when not current")
    arguments = parser.parse_args()
    outdated = [(path, text) for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path, text in outdated:
        print(f"{'outdated' if arguments.check else 'writing'}: {path.name}")
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if arguments.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
