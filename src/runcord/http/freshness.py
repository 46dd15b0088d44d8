"""Reads that are not older than what the caller has seen: positions of answers, and waiting for them."""

from runcord.clock import monotonic
from runcord.errors import Invalid, PositionNotReached
from runcord.http.backend import Backend
from runcord.http.request import Request
from runcord.streaming.events import last_position

MIN_POSITION = "min_position"
"""The parameter of every read that takes the position that its answer must not be older than."""

_PATIENCE_SECS = 2.0
_MOST_DIGITS = 18


async def position_of_answer(backend: Backend, project_id: str, request: Request) -> int:
    """Return a position that everything read from now on is not older than: what `Runcord-Position` says of a read.

    With `min_position`, wait for that position, for two seconds at the most.

    Raises:
        Invalid: `min_position` is no position.
        PositionNotReached: the ledger has not got there.
    """
    wanted = _min_position(request)
    # What this process has heard of is committed, so that a read that begins now sees it.
    position = backend.hub.position(project_id)
    if position == 0 or position < wanted:
        position = await last_position(backend.read, project_id)
        backend.hub.advance(project_id, position, 0)
    deadline = monotonic() + _PATIENCE_SECS
    while position < wanted:
        left = deadline - monotonic()
        if left <= 0 or not await backend.hub.moved(project_id, position, left):
            raise PositionNotReached(
                f"the ledger has got to {position}, not to {wanted}: is that a position of this project?"
            )
        position = backend.hub.position(project_id)
    return position


def _min_position(request: Request) -> int:
    given = request.query_params.get(MIN_POSITION, "")
    if not given:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise Invalid(f"{MIN_POSITION} must be a position, as an earlier answer's `Runcord-Position` says it")
    return int(given)
