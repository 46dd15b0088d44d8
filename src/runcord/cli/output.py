"""What commands print: tables for people, JSON for programs."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pydantic import BaseModel

Format = Annotated[Literal["text", "json"], typer.Option("--format", help="`text` for people, `json` for programs.")]

_WIDE = 10_000
"""Columns where nobody looks at a screen: whoever reads a pipe wants whole values."""

console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented; times in RFC 3339."""
    import orjson

    typer.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], format: str, *, empty: str) -> None:
    """Print rows as a table of `columns`, or as a JSON list with all members; `empty` stands for a table of none."""
    if format == "json":
        print_json([dict(row) for row in rows])
    elif not rows:
        errors.print(empty)
    else:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " ").upper(), overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell(row.get(column))) for column in columns))
        console.print(table)


def print_facts(facts: Mapping[str, Any], format: str) -> None:
    """Print one thing: a line for each fact that is known, or a JSON object with all."""
    if format == "json":
        print_json(dict(facts))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, {}, []):
            table.add_row(name.replace("_", " "), Text(cell(value)))
    console.print(table)


def cell(value: Any) -> str:
    """Return a value as people read it in a table."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    import orjson

    return orjson.dumps(value, default=str).decode()


def json_line(model: "BaseModel") -> str:
    """Return a model as one line of JSON, without what the server did not send."""
    return model.model_dump_json(by_alias=True, exclude_unset=True)
