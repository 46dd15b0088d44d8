"""`runcord projects` and `runcord keys`: who may come in."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from runcord.cli.output import Format, console, errors, print_facts, print_rows
from runcord.cli.state import StateDir, resolve_database
from runcord.errors import ConfigurationError, NotFound
from runcord.key.commands import DEFAULT_GRACE_MINUTES, MAX_GRACE_MINUTES
from runcord.key.form import PUBLIC_SCOPES

T = TypeVar("T")

projects = typer.Typer(help="Make and list projects. Uses the database directly.", no_args_is_help=True)
keys = typer.Typer(help="Make, list, rotate and revoke API keys. Uses the database directly.", no_args_is_help=True)

KeyForm = Literal["trigger", "trigger-sk", "trigger-pk"]
KeyEnvironment = Literal["dev", "stg", "prod", "preview"]

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
    form: Annotated[
        KeyForm | None,
        typer.Option(
            "--form",
            help="A key as Trigger.dev's clients want it: root (`tr_prod_…`), additional (`tr_prod_sk_…`) or public "
            "(`pk_prod_…`). `strait_…` when missing.",
        ),
    ] = None,
    environment: Annotated[
        KeyEnvironment | None,
        typer.Option("--environment", help="The environment in the text of such a key; `prod` when missing."),
    ] = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Make an API key and print it: it is shown this once.

    Keys that clients sign tokens with (`trigger`, `trigger-sk`) are kept sealed: run this with the server's
    RUNCORD_SECRET_KEY, if it has one.
    """
    from runcord.cli.database import connect
    from runcord.http.credentials import ALL_SCOPES
    from runcord.http.key_administration import create_key as create

    if environment is not None and form is None:
        raise ConfigurationError("--environment is for keys in a form of Trigger.dev: say which with --form.")
    if form == "trigger-pk" and not scope:
        scope = [*PUBLIC_SCOPES]
    wrong = [given for given in scope or () if given not in (*ALL_SCOPES, "*")]
    if wrong or not scope:
        raise ConfigurationError(
            f"{f'There is no scope {wrong[0]!r}' if wrong else 'Say what the key may do'}: "
            f"--scope '*' for everything, or of {', '.join(ALL_SCOPES)}."
        )
    dsn = resolve_database(state_dir)
    with connect(dsn) as conn:
        _require_project(conn, project)
    made = create(dsn, project, name, scopes=scope, form=form, environment=environment, expires_in_days=expires_in_days)
    facts = {"key_id": made.key_id, "project_id": project, "name": name, "scopes": scope}
    print_facts({**facts, "expires_at": made.key.expires_at, "api_key": made.secret}, format)
    errors.print("Keep the key: it is not shown again.")


@keys.command("list")
def list_keys(project: Project, format: Format = "text", state_dir: StateDir = None) -> None:
    """List the keys of a project, revoked ones too, oldest first. The keys themselves are not shown."""
    from runcord.cli.database import connect
    from runcord.http.key_administration import keys_of

    with connect(resolve_database(state_dir)) as conn:
        _require_project(conn, project)
        found = keys_of(conn, project)
    rows = [{name: getattr(key, attribute) for name, attribute in _KEY.items()} for key in found]
    print_rows(rows, tuple(_KEY), format, empty=f"Project {project} has no keys.")


@keys.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, not the key.")],
    project: Project,
    grace: Annotated[
        int,
        typer.Option(
            "--grace-minutes", min=0, max=MAX_GRACE_MINUTES, help="How long the old key goes on; 0: not at all."
        ),
    ] = DEFAULT_GRACE_MINUTES,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Put a new key in the place of another and print it: it is shown this once.

    The new key has the old one's form, name, scopes and end. The old one goes on until its grace is over.
    """
    from runcord.cli.database import connect
    from runcord.http.key_administration import rotate_key as rotate

    dsn = resolve_database(state_dir)
    with connect(dsn) as conn:
        _require_project(conn, project)
    rotation, secret = _about(key_id, project, lambda: rotate(dsn, project, key_id, grace))
    old, new = rotation.old, rotation.new
    facts = {"key_id": new.key_id, "project_id": project, "name": new.name, "scopes": new.scopes}
    ends = {"expires_at": new.expires_at, "old_key_id": old.key_id, "grace_expires_at": old.grace_ends_at}
    print_facts({**facts, **ends, "api_key": secret}, format)
    errors.print("Keep the key: it is not shown again.")


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, not the key.")],
    project: Project,
    state_dir: StateDir = None,
) -> None:
    """Revoke a key: within a second or so it opens nothing any more. Revoking it twice does no harm."""
    from runcord.cli.database import connect
    from runcord.http.key_administration import revoke_key as revoke

    dsn = resolve_database(state_dir)
    with connect(dsn) as conn:
        _require_project(conn, project)
    _about(key_id, project, lambda: revoke(dsn, project, key_id))
    console.print(f"revoked {key_id}", markup=False)


def _about(key_id: str, project: str, act: Callable[[], T]) -> T:
    try:
        return act()
    except NotFound:
        raise NotFound(f"Project {project} has no key {key_id}: `runcord keys list` shows those it has.") from None


def _require_project(conn: Any, project_id: str) -> None:
    from runcord.http.credentials import SQL

    if conn.execute(SQL["project"], {"project_id": project_id}).fetchone() is None:
        raise NotFound(f"There is no project {project_id}: make it with `runcord projects create {project_id}`.")


# As for RUNCORD_BOOTSTRAP_PROJECT.
_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PROJECT: tuple[str, ...] = ("project_id", "name", "created_at")
_KEY = {
    "key_id": "key_id",
    "name": "name",
    "key_prefix": "prefix",
    "scopes": "scopes",
    "created_at": "created_at",
    "created_by": "created_by",
    "expires_at": "expires_at",
    "grace_expires_at": "grace_ends_at",
    "replaced_by_key_id": "rotated_to",
    "next_rotation_at": "next_rotation_at",
    "revoked_at": "revoked_at",
    "revoked_by": "revoked_by",
}
"""The columns of `keys list`, and what of a key is in each."""
