"""Calls about public tokens."""

from collections.abc import Sequence

from runcord.client._async.connection import AsyncConnection
from runcord.client.models import PublicToken
from runcord.client.request import Request, given, path


class AsyncTokens:
    """Make public tokens: credentials for browsers, which see some runs, or trigger some tasks, for a while."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self,
        scopes: Sequence[str],
        *,
        expires_in_secs: int | None = None,
        one_time: bool = False,
        skip_columns: Sequence[str] | None = None,
    ) -> PublicToken:
        """Make a token in the name of the client's key: it may do no more than the key, and ends with it.

        `scopes` are such as `read:runs:<id>`, `read:tags:<tag>`, `read:batch:<id>` or `trigger:tasks:<job>`. It lives
        for a quarter of an hour, or `expires_in_secs`, 30 days at most; `one_time` lets it trigger once; `skip_columns`
        it does not see (`payload`, `output` …). Raises ValidationError for scopes that mean nothing.
        """
        body = given(
            scopes=[*scopes],
            expires_in_secs=expires_in_secs,
            one_time=one_time or None,
            skip_columns=None if skip_columns is None else [*skip_columns],
        )
        request = Request("POST", path("v1", "public-tokens"), PublicToken, body=body, repeatable=True)
        return await self._connection.send(request)
