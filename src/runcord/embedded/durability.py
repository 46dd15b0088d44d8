"""Refusing servers that forget."""

from typing import Any

import psycopg

from runcord.errors import ConfigurationError

# A session statement, sent before any schema can be assumed.
_SETTINGS_OFF = """
    SELECT name FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name
"""


def check_durability(connection: psycopg.Connection[Any], *, allow_unsafe: bool) -> None:
    """Raise `ConfigurationError` when the server may lose what it has acknowledged.

    That is the case with any of fsync, full_page_writes and synchronous_commit off, as the connection's own
    user and database see them. `allow_unsafe` accepts such a server; it is the operator's to say.
    """
    off = [str(name) for (name,) in connection.execute(_SETTINGS_OFF)]
    if off and not allow_unsafe:
        raise ConfigurationError(
            f"The database would lose acknowledged events in a crash: {', '.join(off)} "
            f"{'is' if len(off) == 1 else 'are'} off. Turn {'it' if len(off) == 1 else 'them'} on, "
            "or state that losing data is acceptable."
        )
