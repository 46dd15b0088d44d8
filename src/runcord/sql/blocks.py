"""Named SQL statements in `.sql` files.

A file is a sequence of blocks: a line `-- name --`, one or more comment lines, the statement. Parameters are
psycopg's `%(name)s`.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

Statements = Mapping[str, bytes]

_HEAD = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def load(package: str, filename: str) -> Statements:
    """Return the statements of `filename` in `package` by their names.

    Raises:
        ValueError: a name stands twice, or a block has no statement.
    """
    return MappingProxyType(parse((files(package) / filename).read_text("utf-8")))


def parse(text: str) -> dict[str, bytes]:
    """Return the statements of `text` by their names; what stands before the first name is passed over."""
    parts = _HEAD.split(text)
    statements: dict[str, bytes] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
        if name in statements or not lines:
            raise ValueError(f"block {name!r} stands twice or is empty")
        statements[name] = "\n".join(lines).rstrip(";").encode()
    return statements
