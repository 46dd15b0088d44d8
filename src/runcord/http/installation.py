"""The secret of an installation: what it signs tokens with and seals secrets under, by keys derived from it."""

import secrets
from typing import Any

import psycopg

from runcord.ledger.transaction import Row
from runcord.settings import Settings
from runcord.sql import load

SQL = load("runcord.sql", "queries/access.sql")

_NAME = "run_tokens"  # it was made for these first


async def installation_secret(conn: psycopg.AsyncConnection[Row], settings: Settings) -> bytes:
    """Return the secret of the settings, else the one in the database, which is made when it is missing."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    await conn.execute(SQL["offer_secret"], {"name": _NAME, "secret": secrets.token_bytes(32)})
    row = await (await conn.execute(SQL["secret"], {"name": _NAME})).fetchone()
    assert row is not None
    return bytes(row[0])


def secret_at(conn: psycopg.Connection[Any], settings: Settings) -> bytes:
    """Return the same without waiting for anything else: for the command line, the bootstrap and tests."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    conn.execute(SQL["offer_secret"], {"name": _NAME, "secret": secrets.token_bytes(32)})
    row = conn.execute(SQL["secret"], {"name": _NAME}).fetchone()
    assert row is not None
    return bytes(row[0])
