"""What the demo's job does with a file: `ast.parse` its bytes and count. Worker and verdict use the same function."""

import ast
import warnings
from collections.abc import Iterator

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The members of a node that hold statements, or what holds statements."""


def measure(source: bytes, name: str) -> dict[str, int]:
    """Return how many lines, classes, functions and imports the source has.

    Raises what `ast.parse` raises of bytes that are no Python source for this interpreter: SyntaxError, ValueError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and the like; they are not what is looked for
        tree = ast.parse(source, name)
    counts = {"lines": len(source.splitlines()), "classes": 0, "functions": 0, "imports": 0}
    for statement in _statements(tree):
        match statement:
            case ast.ClassDef():
                counts["classes"] += 1
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                counts["functions"] += 1
            case ast.Import() | ast.ImportFrom():
                counts["imports"] += 1
    return counts


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements; expressions, which are most of a tree and hold none, are not entered."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in BLOCKS:
            inner = getattr(node, block, ())
            waiting.extend(inner if isinstance(inner, list) else ())  # a lambda's body is an expression
