"""The connection of commands that ask a server."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runcord.cli.state import resolve_server
from runcord.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from runcord.client import Client


@contextmanager
def connected(state_dir: Path | None) -> "Generator[Client]":
    """Speak to the server that the environment names, or to the one that `runcord dev` left in `state_dir`.

    Raises:
        Unavailable: it does not answer.
    """
    base_url, api_key = resolve_server(state_dir)
    from runcord.client import Client, TransportError

    with Client(base_url, api_key) as client:
        try:
            yield client
        except TransportError as error:
            raise Unavailable(f"{base_url} does not answer: {error.message}") from error
