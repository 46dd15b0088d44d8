#!/usr/bin/env python3
"""Makes `docs/reference/http.md` from the operations; `--check` only says whether it is up to date."""

import re
import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

from runcord.http.openapi import TAGS, statuses_of_errors
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "http.md"

HEAD = """\
# HTTP API

Made from the operations by `tools/generate_http_docs.py`; the whole description, with all shapes, is what a server
answers at `/openapi.json`.

- Every call but those of the server itself carries `Authorization: Bearer <API key>`. Worker calls take the run's
  token as well.
- Times are RFC 3339 in UTC. Members that are empty are left out.
- Lists are arrays. Where there is more, `X-Next-Cursor` and `Link` lead on; with `?envelope=true` the answer is
  `{data, has_more, next_cursor}`.
- Errors are `{error, code, message, details?, request_id}` with the members of RFC 9457 beside them.
"""


def lines() -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    for tag, text in TAGS.items():
        operations = [operation for operation in OPERATIONS if operation.tag == tag]
        if not operations:
            continue
        yield f"## {text.rstrip('.')}\n"
        yield "| call | does | scope | answers | refuses |"
        yield "| --- | --- | --- | --- | --- |"
        yield from map(row, operations)
        yield ""


def row(operation: Operation) -> str:
    """Return the table's row of an operation."""
    path = re.sub(r":\w+}", "}", operation.path)
    sentence = " ".join((getdoc(operation.handle) or "").split("\n\n")[0].split()).replace("|", "\\|")
    answers = ", ".join(str(status) for status in sorted({operation.status, *operation.other_answers}))
    errors = ", ".join(str(status) for status in statuses_of_errors(operation) if status < 500)
    return f"| `{operation.method} {path}` | {sentence} | {scope(operation)} | {answers} | {errors or '–'} |"


def scope(operation: Operation) -> str:
    """Return who may call an operation."""
    if operation.access == "public":
        return "anybody"
    if operation.access == "address":
        return "whoever has the address"
    if operation.scope is None:
        return "any key"
    scopes = " or ".join(f"`{name}`" for name in (operation.scope, *operation.other_scopes))
    return f"{scopes}, or the run's token" if operation.access == "run" else scopes


def main() -> int:
    """Write the page, or compare it."""
    text = "\n".join(lines())
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text("utf-8") != text:
            print(f"{TARGET.name} is out of date: run tools/generate_http_docs.py", file=sys.stderr)
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
