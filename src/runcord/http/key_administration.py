"""Making, rotating and revoking keys with nothing but a database: for the command line, the bootstrap and tests.

These are the same commands as over HTTP, so they stand in the same ledger. They lack no scope: who can reach the
database can do anything.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from runcord.errors import RuncordError
from runcord.handling.keys import MakeKey, RevokeKey, RotateKey, Rotation
from runcord.handling.sealing import Sealer
from runcord.http.credentials import SQL, hash_key, new_key, row_of_hash
from runcord.http.installation import secret_at
from runcord.key.commands import CreateKey
from runcord.key.form import Environment, Form
from runcord.key.state import ALL, ApiKey
from runcord.ledger.execution import Executor
from runcord.ledger.transaction import Context, Handler
from runcord.settings import Settings, load_settings
from runcord_projections.key_view import KeyView
from runcord_projections.key_view.projection import CODEC
from runcord_projections.key_view.projection import SQL as KEYS

R = TypeVar("R")

OPERATOR = Context(actor="operator")
"""Whoever can reach the database itself."""


@dataclass(frozen=True)
class NewKey:
    """A key just made; `secret` is the key itself, shown once."""

    key: ApiKey
    secret: str

    @property
    def key_id(self) -> str:
        """The id of the key."""
        return self.key.key_id


def create_key(
    dsn: str,
    project_id: str,
    name: str,
    *,
    scopes: Sequence[str] = (ALL,),
    secret: str | None = None,
    form: Form | None = None,
    environment: Environment | None = None,
    expires_in_days: int | None = None,
    context: Context = OPERATOR,
    settings: Settings | None = None,
) -> NewKey:
    """Make a key; `secret` fixes it (bootstrap), otherwise it is random and of that form.

    What has to be kept of it is sealed as the settings say, those of the environment if no others are given: they have
    to be the server's.

    Raises:
        NotFound: there is no such project.
        Unavailable: the database could not be reached.
        Invalid: a public key would do more than read runs.
    """
    secret, known_by = new_key(project_id, _sealer(dsn, settings), form=form, environment=environment, given=secret)
    command = CreateKey(name, known_by.prefix, tuple(scopes), expires_in_days)
    return NewKey(_execute(dsn, project_id, MakeKey(context, known_by, command)), secret)


def rotate_key(dsn: str, project_id: str, key_id: str, grace_minutes: int) -> tuple[Rotation, str]:
    """Put a new key of the same form in the place of another, which goes on for the grace; return both, and its text.

    Raises:
        NotFound: there is no such key, or project.
        KeyNotActive: it was rotated or revoked, or has expired.
        Unavailable: the database could not be reached.
    """
    with psycopg.connect(dsn) as conn:
        row = conn.execute(KEYS["get"], {"project_id": project_id, "key_id": key_id}).fetchone()
    old = None if row is None else CODEC.decode(row[0])
    form, environment = (None, None) if old is None else (old.form, old.environment)
    secret, known_by = new_key(project_id, _sealer(dsn, None), form=form, environment=environment)
    return _execute(dsn, project_id, RotateKey(OPERATOR, key_id, known_by, grace_minutes)), secret


def revoke_key(dsn: str, project_id: str, key_id: str) -> ApiKey:
    """End a key; once more does no harm. Raises as `rotate_key` does, save that any key may be revoked."""
    return _execute(dsn, project_id, RevokeKey(OPERATOR, key_id))


def keys_of(conn: psycopg.Connection[Any], project_id: str) -> list[ApiKey]:
    """Return the keys of a project, oldest first, those that have ended too."""
    return [CODEC.decode(row[0]) for row in conn.execute(KEYS["all"], {"project_id": project_id})]


def find_key(conn: psycopg.Connection[Any], secret: str) -> tuple[str, ApiKey] | None:
    """Return the project and what is known of a key, whether or not it still opens anything."""
    row = conn.execute(SQL["key_of_hash"], {"key_hash": hash_key(secret)}).fetchone()
    return None if row is None else row_of_hash(row)[:2]


def _sealer(dsn: str, settings: Settings | None) -> Sealer:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return Sealer(secret_at(conn, settings or load_settings()))


def _execute(dsn: str, project_id: str, handler: Handler[R]) -> R:
    with closing(Executor(dsn, views=(KeyView(),), projections=())) as executor:
        (outcome,) = executor.execute(project_id, [handler]).outcomes
    if isinstance(outcome, RuncordError):
        raise outcome
    return outcome.value
