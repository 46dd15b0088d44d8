"""Make the reference of errors from the classes.

python tools/generate_error_docs.py           write docs/reference/errors.md
python tools/generate_error_docs.py --check   exit with 1 when it is not current
"""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

import runcord
from runcord.errors import ConfigurationError, RuncordError
from runcord.http.app import MethodNotAllowed
from runcord.http.operations import OPERATIONS
from runcord.http.problems import status_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "errors.md"

HEAD = """<!-- Made by tools/generate_error_docs.py: edit the code, then run it. -->
# Errors

Match on `code`, which is stable; `message` is for people and may change. An answer that is an error has the members
`error` and `message` (the same text), `code`, `request_id`, where there is more to say `details`, and those of
RFC 9457: `type` (`urn:runcord:error:` and the code), `title`, `status`, `detail`. A refused request changed nothing.

With 429 and 503 comes `Retry-After`. A command that was answered 503, or not at all, may have taken place: repeat a
trigger with its idempotency key; the report of an attempt's end may be repeated as it was.

"""

TABLE = "| code | means, unless the message says it better |\n| --- | --- |\n"

REFUSALS = """
## Refused transitions

`illegal_transition` is 409, but for these calls, which keep the statuses that Strait's clients know:

| call | status | when the run is |
| --- | --- | --- |
"""

INSIDE = """
## Not for clients

These never leave the process as they are: over HTTP they are `internal_error`, and the log has the rest. The command
line prints their message.

"""


def classes() -> list[type[RuncordError]]:
    """Return every error class of the package."""
    for module in pkgutil.walk_packages(runcord.__path__, "runcord."):
        if not module.name.startswith("runcord.testing") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pending: list[type[RuncordError]] = [RuncordError]
    found: list[type[RuncordError]] = []
    while pending:
        cls = pending.pop()
        found.append(cls)
        pending.extend(cls.__subclasses__())
    return [cls for cls in found if cls.__module__.startswith("runcord.")]


def codes() -> dict[str, tuple[int, type[RuncordError]]]:
    """Return, by its code, the HTTP status of each error and the class that the code belongs to."""
    return {
        cls.code: (405 if issubclass(cls, MethodNotAllowed) else status_of(cls()), cls)
        for cls in classes()
        if "code" in vars(cls)
    }


def is_inside(status: int, cls: type[RuncordError]) -> bool:
    """Return whether clients never see the error: it is shown as another one."""
    return cls in {RuncordError, ConfigurationError} or (status == 500 and cls.code != "internal_error")


def page() -> str:
    """Return the page."""
    return "".join(_parts())


def _parts() -> Iterator[str]:
    known = codes()
    yield HEAD.rstrip() + "\n"
    shown = {code: status for code, (status, cls) in known.items() if not is_inside(status, cls)}
    for status in sorted(set(shown.values())):
        yield f"\n## {status}\n\n{TABLE}"
        for code in sorted(code for code, its_status in shown.items() if its_status == status):
            yield _row(code, known[code][1])
    yield REFUSALS
    yield from _refusals()
    yield INSIDE + TABLE
    for code in sorted(known.keys() - shown.keys()):
        yield _row(code, known[code][1])


def _row(code: str, cls: type[RuncordError]) -> str:
    return f"| `{code}` | {(getdoc(cls) or '').splitlines()[0]} |\n"


def _refusals() -> Iterator[str]:
    for operation in OPERATIONS:
        given = operation.refusal_status
        call = f"`{operation.method} {operation.path}`"
        if isinstance(given, int):
            yield f"| {call} | {given} | in any status that does not allow it |\n"
        elif given is not None:
            for status in sorted(set(given.values())):
                names = ", ".join(f"`{name}`" for name, its_status in sorted(given.items()) if its_status == status)
                yield f"| {call} | {status} | {names} |\n"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when the page is outdated")
    text = page()
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text("utf-8") != text:
            print(f"{PAGE.name} is outdated: run tools/generate_error_docs.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
