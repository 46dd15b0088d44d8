"""The keeper of rebuilds of inline views: has them built, switched to and dropped, for as long as a process lives."""

import asyncio

import psycopg
import structlog

from runcord.errors import RuncordError
from runcord.ledger.statements import Read
from runcord.projecting.administration import Operator
from runcord.projecting.builder import Builder
from runcord.projecting.inline_administration import finish_dropping, switch
from runcord.projecting.rebuildable import SQL, Rebuildable, Rebuildables

log = structlog.get_logger(__name__)

BUILDER = "runcord.inline_builder"

_SWEEP_SECS = 1.0
_AT_ONCE = 100


class InlineKeeper:
    """Goes on with rebuilds of inline views, its own and those that a lost process has left."""

    def __init__(
        self, dsn: str, rebuildables: Rebuildables, read: Read, operator: Operator, events_per_sec: int
    ) -> None:
        self._rebuildables = rebuildables
        self._read = read
        self._operator = operator
        self._builder = Builder(dsn, events_per_sec, BUILDER)

    async def run(self) -> None:
        """Go on until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self._sweep()
            except (RuncordError, psycopg.Error) as error:
                log.warning("rebuilds_wait", error=str(error).strip())
            await asyncio.sleep(_SWEEP_SECS)

    async def close(self) -> None:
        """Give up what is being built; whoever comes next goes on."""
        await asyncio.to_thread(self._builder.close)

    async def _sweep(self) -> None:
        params = {"names": list(self._rebuildables), "limit": _AT_ONCE}
        for project_id, name, _, status in await self._read(SQL["unfinished_rebuilds"], params):
            await self._go_on(project_id, self._rebuildables[name], status)

    async def _go_on(self, project_id: str, one: Rebuildable, status: str) -> None:
        operator = self._operator
        if status == "building":
            self._builder.build(project_id)
        elif status == "ready":
            await operator.run(lambda conn: switch(operator.dsn, conn, project_id, one))
        else:
            await operator.run(lambda conn: finish_dropping(conn, project_id, one))
