"""`runcord projects` and `runcord keys`: who may come in."""

import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from runcord.cli.output import Format, console, errors, print_facts, print_rows
from runcord.cli.state import StateDir, resolve_database
from runcord.errors import ConfigurationError, NotFound

projects = typer.Typer(help="Make and list projects. Uses the database directly.", no_args_is_help=True)
keys = typer.Typer(help="Make, list and revoke API keys. Uses the database directly.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", help="The id of the project.")]


@projects.command("create")
def create_project(
    project_id: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, `_`, `.` and `-`; at most 64.")],
    name: Annotated[str | None, typer.Option("--name", help="What people call it; the id when missing.")] = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Make a project. One that exists is left as it is."""
    from runcord.cli.database import connect
    from runcord.http.credentials import SQL
    from runcord.http.credentials import create_project as create

    if not _PROJECT_ID.fullmatch(project_id):
        raise ConfigurationError(f"{project_id!r} cannot be the id of a project: see `runcord projects create --help`.")
    with connect(resolve_database(state_dir)) as conn:
        create(conn, project_id, name or project_id)
        row = conn.execute(SQL["project"], {"project_id": project_id}).fetchone()
    assert row is not None
    print_facts(dict(zip(_PROJECT, row, strict=True)), format)


@projects.command("list")
def list_projects(format: Format = "text", state_dir: StateDir = None) -> None:
    """List all projects, oldest first."""
    from runcord.cli.database import connect
    from runcord.http.credentials import SQL

    with connect(resolve_database(state_dir)) as conn:
        rows = [dict(zip(_PROJECT, row, strict=True)) for row in conn.execute(SQL["projects"])]
    print_rows(rows, _PROJECT, format, empty="There are no projects: make one with `runcord projects create`.")


@keys.command("create")
def create_key(
    project: Project,
    name: Annotated[str, typer.Option("--name", help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What it may do; give it again for more. `*` is everything.")
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option("--expires-in-days", min=1, max=3650, help="Never, when missing.")
    ] = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Make an API key and print it: it is shown this once and kept nowhere."""
    from runcord.cli.database import connect
    from runcord.clock import utc_now
    from runcord.http.credentials import ALL_SCOPES
    from runcord.http.credentials import create_key as create

    wrong = [given for given in scope or () if given not in (*ALL_SCOPES, "*")]
    if wrong or not scope:
        raise ConfigurationError(
            f"{f'There is no scope {wrong[0]!r}' if wrong else 'Say what the key may do'}: "
            f"--scope '*' for everything, or of {', '.join(ALL_SCOPES)}."
        )
    expires_at = None if expires_in_days is None else utc_now() + timedelta(days=expires_in_days)
    with connect(resolve_database(state_dir)) as conn:
        _require_project(conn, project)
        key = create(conn, project, name, scopes=scope, expires_at=expires_at)
    facts = {"key_id": key.key_id, "project_id": project, "name": name, "scopes": scope, "expires_at": expires_at}
    print_facts({**facts, "api_key": key.secret}, format)
    errors.print("Keep the key: it is not shown again.")


@keys.command("list")
def list_keys(project: Project, format: Format = "text", state_dir: StateDir = None) -> None:
    """List the keys of a project, revoked ones too, oldest first. The keys themselves are kept nowhere."""
    from runcord.cli.database import connect
    from runcord.http.credentials import SQL

    with connect(resolve_database(state_dir)) as conn:
        _require_project(conn, project)
        found = conn.execute(SQL["keys"], {"project_id": project})
        rows = [dict(zip(_KEY, row, strict=True)) for row in found]
    print_rows(rows, _KEY, format, empty=f"Project {project} has no keys.")


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, not the key.")],
    project: Project,
    state_dir: StateDir = None,
) -> None:
    """Revoke a key, for ever. Running servers heed it within five seconds."""
    from runcord.cli.database import connect
    from runcord.http.credentials import SQL

    with connect(resolve_database(state_dir)) as conn:
        row = conn.execute(SQL["revoke_key"], {"project_id": project, "key_id": key_id}).fetchone()
    if row is None:
        raise NotFound(f"Project {project} has no key {key_id}: `runcord keys list` shows those it has.")
    console.print(f"revoked {key_id}", markup=False)


def _require_project(conn: Any, project_id: str) -> None:
    from runcord.http.credentials import SQL

    if conn.execute(SQL["project"], {"project_id": project_id}).fetchone() is None:
        raise NotFound(f"There is no project {project_id}: make it with `runcord projects create {project_id}`.")


# As for RUNCORD_BOOTSTRAP_PROJECT.
_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PROJECT: tuple[str, ...] = ("project_id", "name", "created_at")
_KEY: tuple[str, ...] = ("key_id", "name", "key_prefix", "scopes", "created_at", "expires_at", "revoked_at")
