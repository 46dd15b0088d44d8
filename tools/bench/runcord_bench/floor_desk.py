"""The floor of a desk: the claims and completions of many workers in one transaction, as many as came meanwhile."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import psycopg

from runcord_bench.floor import SQL, Grouped
from runcord_bench.floor_worker import RESULT

Taken = tuple[uuid.UUID, bytes]


class Claim(NamedTuple):
    """So many runs are asked for, at the most."""

    limit: int


class Complete(NamedTuple):
    """These runs have ended."""

    run_ids: Sequence[uuid.UUID]


class Desk(Grouped[Claim | Complete, Sequence[Taken]]):
    """Hands runs out and has them ended."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, _answer)

    async def claim(self, limit: int) -> Sequence[Taken]:
        """Return runs and their payloads, whose taking is durable."""
        return await self.ask(Claim(limit))

    async def complete(self, run_ids: Sequence[uuid.UUID]) -> None:
        """Return when their ends are durable."""
        await self.ask(Complete(run_ids))


def _answer(conn: psycopg.Connection[Any], group: Sequence[Claim | Complete]) -> Sequence[Sequence[Taken]]:
    """End what has ended and share out what is there, in one trip."""
    ended = [run_id for asked in group if isinstance(asked, Complete) for run_id in asked.run_ids]
    wanted = sum(asked.limit for asked in group if isinstance(asked, Claim))
    cursor = conn.cursor(binary=True)
    with conn.pipeline(), conn.transaction():
        if ended:
            conn.execute(SQL["complete"], {"run_ids": ended, "data": [RESULT] * len(ended)})
        if wanted:
            cursor.execute(SQL["claim"], {"limit": wanted, "data": orjson.dumps({"worker": "floor", "attempt": 1})})
    taken: list[Taken] = cursor.fetchall() if wanted else []
    shares: list[Sequence[Taken]] = []
    for asked in group:
        share = asked.limit if isinstance(asked, Claim) else 0
        shares.append(taken[:share])
        taken = taken[share:]
    return shares
