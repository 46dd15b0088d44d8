# Made from _async/keys.py by tools/generate_client.py: edit that file.
"""Calls about API keys."""

from collections.abc import Sequence
from typing import Literal

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.models import Acknowledgement, ApiKey, NewApiKey, RotatedApiKey
from runcord.client.request import Request, given, path


class Keys:
    """Make, list, rotate and revoke API keys, with a key that has the scope `api-keys:manage`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_in_days: int | None = None,
        rotation_interval_days: int | None = None,
        form: Literal["trigger", "trigger-sk", "trigger-pk"] | None = None,
        environment: Literal["dev", "stg", "prod", "preview"] | None = None,
    ) -> NewApiKey:
        """Make a key and return it with the key itself, which nobody is told again.

        With a `form` it looks like a key of Trigger.dev, of that environment, and works with its clients: a root key,
        an additional one, or a public one, which reads runs without their payloads and outputs. Without `scopes` it may
        do what the client's own key may. Raises PermissionDeniedError for scopes that the client's own key does not
        have.
        """
        body = given(
            name=name,
            scopes=None if scopes is None else [*scopes],
            expires_in_days=expires_in_days,
            rotation_interval_days=rotation_interval_days,
            form=form,
            environment=environment,
        )
        return self._connection.send(Request("POST", path("v1", "api-keys"), NewApiKey, body=body))

    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> Pager[ApiKey]:
        """Iterate over the project's keys, newest first, those that have ended too."""
        query = {"limit": page_size, "cursor": cursor}
        request = Request("GET", path("v1", "api-keys"), ApiKey, query=query, repeatable=True)
        return Pager(self._connection, request)

    def get(self, key_id: str) -> ApiKey:
        """Return what is known of a key. Raises NotFoundError."""
        return self._connection.send(Request("GET", path("v1", "api-keys", key_id), ApiKey, repeatable=True))

    def rotate(self, key_id: str, *, grace_period_minutes: int | None = None) -> RotatedApiKey:
        """Put a new key in the place of another, which goes on for the grace: an hour, 0 for not at all.

        Raises ConflictError when the key was rotated or revoked, or has expired. The call is not repeated: when its
        answer was lost, the new key is unknown to anybody, and the old one says by which it was replaced.
        """
        body = given(grace_period_minutes=grace_period_minutes)
        return self._connection.send(
            Request("POST", path("v1", "api-keys", key_id, "rotate"), RotatedApiKey, body=body)
        )

    def revoke(self, key_id: str) -> None:
        """End a key: within a second or so it opens nothing. Once more does no harm. Raises NotFoundError."""
        self._connection.send(Request("DELETE", path("v1", "api-keys", key_id), Acknowledgement, repeatable=True))
