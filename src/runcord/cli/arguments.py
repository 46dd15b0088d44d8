"""Arguments that several commands take."""

from datetime import datetime
from typing import Annotated

import typer

from runcord.errors import ConfigurationError

Position = Annotated[
    int | None, typer.Option("--position", min=1, help="As it was when the ledger was at this position.")
]
At = Annotated[str | None, typer.Option("--at", help="As it was at this time: `2026-01-31T12:00:00Z`.")]


def time_of(given: str | None) -> datetime | None:
    """Return the time that an argument says; one that says none, or has no zone, ends the command."""
    try:
        at = None if given is None else datetime.fromisoformat(given)
    except ValueError:
        raise ConfigurationError(f"{given!r} is no time: write it like 2026-01-31T12:00:00Z.") from None
    if at is not None and at.tzinfo is None:
        raise ConfigurationError(f"{given!r} has no zone: write it like 2026-01-31T12:00:00Z.")
    return at


def entries(option: str, given: list[str] | None) -> dict[str, str]:
    """Return `KEY=VALUE` arguments as a mapping; a wrong one ends the command with its usage."""
    entries: dict[str, str] = {}
    for argument in given or ():
        key, equals, value = argument.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{argument!r} is not KEY=VALUE", param_hint=option)
        entries[key] = value
    return entries
