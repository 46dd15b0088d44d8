"""The tree of commands, and how errors end them."""

import os
import sys
import traceback
from typing import Annotated

import typer
from rich.text import Text

from runcord.cli import access, audit, dev, events, projections, runs, schema, serve, views
from runcord.cli.output import errors
from runcord.errors import ConfigurationError, RuncordError, Unavailable

FAILED, USAGE, UNAVAILABLE = 1, 2, 3

EPILOG = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 the server or its database is not available. "
    "Settings come from the environment: `runcord check` prints them."
)

app = typer.Typer(
    name="runcord",
    help="The system of record for background jobs and AI-agent runs.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"runcord {metadata.version('runcord')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The system of record for background jobs and AI-agent runs."""


app.command("dev")(dev.dev)
app.command("serve")(serve.serve)
app.command("migrate")(schema.migrate)
app.command("check")(schema.check)
app.add_typer(access.projects, name="projects")
app.add_typer(access.keys, name="keys")
app.add_typer(runs.runs, name="runs")
app.add_typer(runs.jobs, name="jobs")
app.add_typer(projections.projections, name="projections")
runs.runs.command("family")(views.show_family)
runs.jobs.command("statistics")(views.show_statistics)
app.add_typer(views.tags, name="tags")
app.add_typer(views.dead_letters, name="dead-letters")
app.add_typer(audit.audit, name="audit")
app.command("events")(events.list_events)


def run() -> None:
    """Run the command that the arguments name, and exit. An error is one line on stderr, never a traceback."""
    try:
        app(prog_name="runcord")
    except Exception as error:
        if os.environ.get("RUNCORD_LOG_LEVEL", "").lower() == "debug":
            traceback.print_exc()
        errors.print(Text.assemble(("Error: ", "bold red"), _one_line(error)), soft_wrap=True)
        sys.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    """Return the exit code that an error means."""
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, Unavailable) or _means_unavailable(error):
        return UNAVAILABLE
    return FAILED


def _means_unavailable(error: Exception) -> bool:
    # What was never imported cannot have been raised, and importing it here would slow every start.
    client, psycopg = sys.modules.get("runcord.client.errors"), sys.modules.get("psycopg")
    return (client is not None and isinstance(error, client.UnavailableError)) or (
        psycopg is not None and isinstance(error, psycopg.OperationalError)
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    expected = isinstance(error, RuncordError) or type(error).__module__.startswith(("runcord.", "psycopg"))
    return text if expected else f"{type(error).__name__}: {text} (RUNCORD_LOG_LEVEL=debug tells more)"
