"""Arguments that several commands take."""

import typer


def entries(option: str, given: list[str] | None) -> dict[str, str]:
    """Return `KEY=VALUE` arguments as a mapping; a wrong one ends the command with its usage."""
    entries: dict[str, str] = {}
    for argument in given or ():
        key, equals, value = argument.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{argument!r} is not KEY=VALUE", param_hint=option)
        entries[key] = value
    return entries
