# Made from _async/events.py by tools/generate_client.py: edit that file.
"""Calls about events that runs wait for."""

from typing import Any

from runcord.client._sync.connection import Connection
from runcord.client.models import EventSent
from runcord.client.request import Request, given, path


class Events:
    """Send the events that runs wait for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, key: str, payload: Any = None) -> EventSent:
        """Send an event to the run that waits for `key`. Sending the same payload again does nothing.

        Raises NotFoundError when no run waits for the key, ConflictError when another payload was received for it.
        """
        request = Request(
            "POST", path("v1", "events", key, "send"), EventSent, body=given(payload=payload), repeatable=True
        )
        return self._connection.send(request)
