"""The keys that stand behind public tokens: which of them live, and with which texts clients may have signed."""

from dataclasses import dataclass, field

import structlog

from runcord.clock import monotonic
from runcord.errors import ConfigurationError, Unauthenticated
from runcord.handling.keys import seal_name
from runcord.handling.sealing import Sealer
from runcord.http.credentials import SQL, Key, end_of, key_of
from runcord.http.remembered import Remembered
from runcord.ledger.statements import Touch
from runcord.ledger.transaction import Row
from runcord_projections.key_view.projection import CODEC

log = structlog.get_logger(__name__)

_MOST_UNOPENED = 1000


@dataclass(frozen=True)
class SigningKey:
    """A key, with its text if clients sign with it; the end is of the monotonic clock."""

    key: Key
    text: bytes | None = field(repr=False)
    ends_at: float

    @property
    def is_live(self) -> bool:
        """Whether the key opens anything still."""
        return monotonic() < self.ends_at


class SigningKeys:
    """Finds the keys of a project that tokens may be signed with; what is remembered is never older than a second."""

    def __init__(self, touch: Touch, sealer: Sealer) -> None:
        self._touch = touch
        self._sealer = sealer
        self._of_project = Remembered(self._ask_project)
        self._of_id = Remembered(self._ask_id)
        self._unopened: set[str] = set()

    async def live(self, project_id: str, key_id: str) -> Key:
        """Return a key that lives.

        Raises:
            Unauthenticated: the key was revoked, has expired, or its grace after a rotation is over.
            Unavailable: the database could not be asked.
        """
        found = await self._of_id.get((project_id, key_id))
        if found is None or not found.is_live:
            raise Unauthenticated("the key that the token was signed with was revoked or has expired")
        return found.key

    async def that_sign(self, project_id: str, *, since: float = 0.0) -> list[SigningKey]:
        """Return the live keys of a project whose texts are kept, as known since a moment. Raises Unavailable."""
        return [one for one in await self._of_project.get(project_id, since=since) if one.is_live]

    async def keep(self, key: Key, text: str) -> None:
        """Keep the text of a key that a client is going to sign with, unless it is kept already. Raises Unavailable."""
        if any(one.key.key_id == key.key_id for one in await self.that_sign(key.project_id)):
            return
        sealed = self._sealer.seal(key.project_id, seal_name(key.key_id), text)
        names = {"project_id": key.project_id, "key_id": key.key_id}
        await self._touch(SQL["keep_sealed_key"], {**names, "sealed": sealed})
        self.forget(key.key_id)
        self._of_project.forget(lambda project_id, _: project_id == key.project_id)

    def forget(self, key_id: str) -> None:
        """Ask anew when something signed with the key comes next."""
        self._of_id.forget(lambda asked, _: asked[1] == key_id)
        self._of_project.forget(lambda _, found: any(one.key.key_id == key_id for one in found))

    async def _ask_project(self, project_id: str) -> list[SigningKey]:
        asked_at = monotonic()
        rows = await self._touch(SQL["signing_keys"], {"project_id": project_id})
        found = (self._of_row(project_id, row, asked_at) for row in rows)
        return [one for one in found if one.text is not None]

    async def _ask_id(self, named: tuple[str, str]) -> SigningKey | None:
        asked_at = monotonic()
        project_id, key_id = named
        rows = await self._touch(SQL["key_of_id"], {"project_id": project_id, "key_id": key_id})
        return self._of_row(project_id, rows[0], asked_at) if rows else None

    def _of_row(self, project_id: str, row: Row, asked_at: float) -> SigningKey:
        key_id, state, sealed, now = row
        key = CODEC.decode(state)
        text = None if sealed is None else self._open(project_id, key_id, bytes(sealed))
        return SigningKey(key_of(project_id, key), text, end_of(key, now, asked_at))

    def _open(self, project_id: str, key_id: str, sealed: bytes) -> bytes | None:
        """Return the text of a key; one that cannot be opened goes on as a key, and what it signed is refused."""
        try:
            return self._sealer.open(project_id, seal_name(key_id), sealed).encode()
        except ConfigurationError as error:
            if key_id not in self._unopened and len(self._unopened) < _MOST_UNOPENED:
                self._unopened.add(key_id)
                log.error("signing_key_not_opened", project_id=project_id, key_id=key_id, error=str(error))
            return None
