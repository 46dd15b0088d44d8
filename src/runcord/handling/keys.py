"""Handlers of commands to API keys.

Events say who may do what; the hashes by which keys are found, and the keys that clients sign with, sealed, are rows
alone.
"""

from dataclasses import dataclass, field, replace

from runcord.key import commands as c
from runcord.key.decide import decide
from runcord.key.form import Environment, Form
from runcord.key.state import ApiKey
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.sql import load

SQL = load("runcord.sql", "queries/access.sql")


@dataclass(frozen=True)
class Secret:
    """What a new key will be known by."""

    key_id: str
    prefix: str
    hash: bytes = field(repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    """The key itself, if clients sign public tokens with it."""
    form: Form | None = None
    environment: Environment | None = None


def seal_name(key_id: str) -> str:
    """Return the name under which a key is sealed."""
    return f"API key {key_id}"


@dataclass(frozen=True)
class MakeKey:
    """Make a key; answers it."""

    context: Context
    secret: Secret
    command: c.CreateKey
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read nothing: its id is new."""

    def handle(self, tx: Transaction) -> ApiKey:
        """Decide and record. Raises Forbidden."""
        return _make(tx, self.secret, self.command)


@dataclass(frozen=True)
class Rotation:
    """What a rotation came to: both keys as they are after it."""

    old: ApiKey
    new: ApiKey


@dataclass(frozen=True)
class RotateKey:
    """Put a new key of the same name, scopes and end in the place of another; answers a `Rotation`."""

    context: Context
    key_id: str
    secret: Secret
    grace_minutes: int
    grantor: frozenset[str] | None = None
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the key."""
        plan.need(self.key_id)

    def handle(self, tx: Transaction) -> Rotation:
        """Decide and record on both keys. Raises NotFound, Forbidden or KeyNotActive."""
        key = _key(tx, self.key_id)
        events = decide(c.RotateKey(self.secret.key_id, self.grace_minutes, self.grantor), key, tx.at)
        assert key is not None
        old: ApiKey = tx.record(key.key_id, *events)
        successor = c.CreateKey(
            name=key.name,
            prefix=self.secret.prefix,
            scopes=key.scopes,
            expires_at=key.expires_at,
            environment_id=key.environment_id,
            rotation_interval_days=key.rotation_interval_days,
            rotated_from=key.key_id,
            grantor=self.grantor,
        )
        return Rotation(old, _make(tx, self.secret, successor))


@dataclass(frozen=True)
class RevokeKey:
    """End a key; answers it. Revoking twice does no harm."""

    context: Context
    key_id: str
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the key."""
        plan.need(self.key_id)

    def handle(self, tx: Transaction) -> ApiKey:
        """Decide and record. Raises NotFound."""
        key = _key(tx, self.key_id)
        events = decide(c.RevokeKey(), key, tx.at)
        tx.write(SQL["forget_sealed_key"], {"key_id": self.key_id})
        return tx.record(self.key_id, *events)


def _make(tx: Transaction, secret: Secret, command: c.CreateKey) -> ApiKey:
    command = replace(command, form=secret.form, environment=secret.environment)
    key: ApiKey = tx.create(secret.key_id, *decide(command, None, tx.at))
    tx.write(SQL["keep_key_hash"], {"key_id": secret.key_id, "key_hash": secret.hash, "sealed": secret.sealed})
    return key


def _key(tx: Transaction, key_id: str) -> ApiKey | None:
    key = tx.state(key_id)
    return key if isinstance(key, ApiKey) else None
