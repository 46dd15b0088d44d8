"""Calls about projections: the read models that are folded from the ledger."""

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client.models import Projection, ProjectionComparison, ProjectionGeneration
from runcord.client.request import Request, given, path

_COMPARISON_SECS = 300.0
"""What comparing may take, with all rows of a large project."""


class AsyncProjections:
    """Look at projections, rebuild them beside what is read, compare, and switch.

    Reading takes a key with the scope `projections:read`, everything else `projections:manage`. Raises NotFoundError
    for names of no projection.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def list(self) -> AsyncPager[Projection]:
        """Iterate over all projections by name, with their generations."""
        return AsyncPager(self._connection, Request("GET", path("v1", "projections"), Projection, repeatable=True))

    async def get(self, name: str) -> Projection:
        """Return a projection with its generations, and how far they are."""
        return await self._connection.send(Request("GET", _path(name), Projection, repeatable=True))

    async def rebuild(self, name: str, *, switch: bool = False) -> ProjectionGeneration:
        """Begin a further generation and return it; with `switch` it takes over by itself when it is ready.

        Raises ConflictError while there is one that is not live yet.
        """
        request = Request("POST", _path(name, "rebuild"), ProjectionGeneration, body={"switch": switch})
        return await self._connection.send(request)

    async def compare(self, name: str) -> ProjectionComparison:
        """Compare the generation that is ready with the live one, at one position. Raises ConflictError if none is."""
        request = Request(
            "POST", _path(name, "compare"), ProjectionComparison, repeatable=True, patience=_COMPARISON_SECS
        )
        return await self._connection.send(request)

    async def switch(self, name: str) -> Projection:
        """Have the generation that is ready take over. Raises ConflictError if none is."""
        request = Request("POST", _path(name, "switch"), Projection, patience=_COMPARISON_SECS)
        return await self._connection.send(request)

    async def drop(self, name: str, generation: int | None = None) -> ProjectionGeneration:
        """Drop a generation, the only one that is not live if none is given. Raises ConflictError for the live one."""
        body = given(generation=generation)
        return await self._connection.send(Request("POST", _path(name, "drop"), ProjectionGeneration, body=body))

    async def skip(self, name: str, position: int, reason: str) -> Projection:
        """Have a projection pass over the event that it is parked before; this is on record.

        Raises ConflictError for any other position.
        """
        body = {"position": position, "reason": reason}
        return await self._connection.send(Request("POST", _path(name, "skip"), Projection, body=body))

    async def retry(self, name: str) -> Projection:
        """Have a parked projection try again. Raises ConflictError if it is not parked."""
        return await self._connection.send(Request("POST", _path(name, "retry"), Projection))


def _path(name: str, *action: str) -> str:
    return path("v1", "projections", name, *action)
