# Made from _async/projections.py by tools/generate_client.py: edit that file.
"""Calls about projections: the read models that are folded from the ledger."""

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.models import Projection, ProjectionComparison, ProjectionGeneration
from runcord.client.request import Request, given, path

_COMPARISON_SECS = 300.0
"""What comparing may take, with all rows of a large project."""


class Projections:
    """Look at projections, rebuild them beside what is read, compare, and switch.

    Reading takes a key with the scope `projections:read`, everything else `projections:manage`. Raises NotFoundError
    for names of no projection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Pager[Projection]:
        """Iterate over all projections by name, with their generations."""
        return Pager(self._connection, Request("GET", path("v1", "projections"), Projection, repeatable=True))

    def get(self, name: str) -> Projection:
        """Return a projection with its generations, and how far they are."""
        return self._connection.send(Request("GET", _path(name), Projection, repeatable=True))

    def rebuild(self, name: str, *, switch: bool = False) -> ProjectionGeneration:
        """Begin a further generation and return it; with `switch` it takes over by itself when it is ready.

        Raises ConflictError while there is one that is not live yet.
        """
        request = Request("POST", _path(name, "rebuild"), ProjectionGeneration, body={"switch": switch})
        return self._connection.send(request)

    def compare(self, name: str) -> ProjectionComparison:
        """Compare the generation that is ready with the live one, at one position. Raises ConflictError if none is."""
        request = Request(
            "POST", _path(name, "compare"), ProjectionComparison, repeatable=True, patience=_COMPARISON_SECS
        )
        return self._connection.send(request)

    def switch(self, name: str) -> Projection:
        """Have the generation that is ready take over. Raises ConflictError if none is."""
        request = Request("POST", _path(name, "switch"), Projection, patience=_COMPARISON_SECS)
        return self._connection.send(request)

    def drop(self, name: str, generation: int | None = None) -> ProjectionGeneration:
        """Drop a generation, the only one that is not live if none is given. Raises ConflictError for the live one."""
        body = given(generation=generation)
        return self._connection.send(Request("POST", _path(name, "drop"), ProjectionGeneration, body=body))

    def skip(self, name: str, position: int, reason: str) -> Projection:
        """Have a projection pass over the event that it is parked before; this is on record.

        Raises ConflictError for any other position.
        """
        body = {"position": position, "reason": reason}
        return self._connection.send(Request("POST", _path(name, "skip"), Projection, body=body))

    def retry(self, name: str) -> Projection:
        """Have a parked projection try again. Raises ConflictError if it is not parked."""
        return self._connection.send(Request("POST", _path(name, "retry"), Projection))


def _path(name: str, *action: str) -> str:
    return path("v1", "projections", name, *action)
