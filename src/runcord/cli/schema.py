"""`runcord migrate` and `runcord check`: is this installation ready to serve?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcord.cli.output import Format, console, errors, print_json
from runcord.cli.state import StateDir, resolve_database
from runcord.errors import RuncordError

if TYPE_CHECKING:
    from runcord.settings import Settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 when migrations are pending.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Bring the database to the present schema. Any number may run at once; each migration is all or nothing."""
    from runcord.cli.database import connect
    from runcord.sql import migrate, pending

    dsn = resolve_database(state_dir)
    with connect(dsn):
        pass  # what is wrong with the address is told better here
    names = pending(dsn) if check else migrate(dsn)
    for name in names:
        console.print(f"{'pending' if check else 'applied'} {name}")
    if not names:
        errors.print("The schema is current.")
    if check and names:
        raise typer.Exit(1)


def check(format: Format = "text", state_dir: StateDir = None) -> None:
    """Print every setting, secrets masked, and try the database. Exits with 1 when something is wrong.

    What is only unwise is told as a warning: a superuser to connect as, a variable that nothing reads.
    """
    import os

    from runcord.cli.database import masked, problems, warnings
    from runcord.cli.environment import environment_name, without_effect
    from runcord.settings import Settings, load_settings

    settings = load_settings(state_dir=state_dir)
    shown = {environment_name(name): _shown(settings, name) for name in Settings.model_fields}
    database, found = None, list[str]()
    doubts = without_effect(os.environ)
    try:
        dsn = resolve_database(state_dir, settings)
        database = masked(dsn)
        found = problems(dsn, settings)
        doubts += warnings(dsn)
    except RuncordError as error:
        found.append(error.message)
    if settings.bootstrap_api_key is not None and settings.bootstrap_project is None:
        found.append("RUNCORD_BOOTSTRAP_API_KEY has no effect on `runcord serve` without RUNCORD_BOOTSTRAP_PROJECT.")
    if format == "json":
        print_json({"settings": shown, "database": database, "problems": found, "warnings": doubts})
    else:
        for name, value in shown.items():
            console.print(f"{name}={'' if value is None else value}", markup=False)
        console.print(f"\ndatabase: {database or 'none'}", markup=False)
        for problem in found:
            console.print(f"problem: {problem}", markup=False, soft_wrap=True)
        for doubt in doubts:
            console.print(f"warning: {doubt}", markup=False, soft_wrap=True)
        if not found:
            console.print("ready to serve")
    if found:
        raise typer.Exit(1)


def _shown(settings: "Settings", name: str) -> Any:
    from pydantic import SecretStr

    from runcord.cli.database import masked

    value = getattr(settings, name)
    if not isinstance(value, SecretStr):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    return masked(value.get_secret_value()) if name == "database_url" else "********"
