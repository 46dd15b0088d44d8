"""Public tokens: what lets a browser see some runs, or trigger some tasks, for a while.

A JWT, HS256, as Trigger.dev's clients make them (the issuer and the audience are theirs): `sub` the project, `pub`
true, `scopes` what it may do, `exp`; perhaps `otu` for one use and `realtime.skipColumns` for what it may not see.
Clients sign with the text of their API key, the server with a key derived from the installation's secret; then `key`
names the API key in whose name. A token may never do more than its key, and dies with it.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, cast

import jwt

from runcord.clock import monotonic, unix_now
from runcord.errors import Forbidden, Unauthenticated
from runcord.handling.sealing import derived_secret
from runcord.http.credentials import Key
from runcord.http.run_tokens import ISSUER as RUN_TOKEN_ISSUER
from runcord.http.signing_keys import SigningKeys
from runcord.ids import new_id
from runcord.key.token_scopes import Scope, parse_all

ISSUER = "https://id.trigger.dev"
AUDIENCE = "https://api.trigger.dev"

MAX_BYTES = 8192
_KNOWN = 8192

_PUBLIC_KEY_SCOPES = parse_all(["read:runs"])
_PUBLIC_KEY_HIDES = frozenset({"payload", "output"})

_NOT_VALID = "the token is not valid: it was changed, or signed with a key that this project does not have any more"


@dataclass(frozen=True)
class PublicToken:
    """What a token says. `key` is the one that stands behind it, `hidden` are columns that it may not see."""

    key: Key
    scopes: frozenset[Scope]
    expires_at: float
    """Unix seconds."""
    hash: bytes = field(default=b"", repr=False)
    """Of the token itself."""
    one_time: bool = False
    hidden: frozenset[str] = frozenset()

    @property
    def project_id(self) -> str:
        """The project that it belongs to."""
        return self.key.project_id

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= unix_now()


def token_of_public_key(key: Key) -> PublicToken:
    """Return what a public API key is worth: a token that reads all runs, without their payloads and outputs."""
    return PublicToken(key, _PUBLIC_KEY_SCOPES, float("inf"), hidden=_PUBLIC_KEY_HIDES)


@dataclass(frozen=True)
class _Verified:
    """What was found good once, and stays so for as long as the key lives."""

    project_id: str
    key_id: str
    scopes: frozenset[Scope]
    expires_at: float
    one_time: bool
    hidden: frozenset[str]


class PublicTokens:
    """Signs and reads public tokens."""

    def __init__(self, secret: bytes, keys: SigningKeys) -> None:
        self._secret = derived_secret(secret, "public tokens")
        self._keys = keys
        self._known: dict[bytes, _Verified] = {}

    def sign(
        self, key: Key, scopes: Sequence[str], *, expires_at: int, one_time: bool = False, hidden: Sequence[str] = ()
    ) -> str:
        """Return a token in the name of a key, good until `expires_at` (Unix seconds)."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": key.project_id,
            "pub": True,
            "key": key.key_id,
            "jti": new_id("token"),  # or two tokens for one use, made in the same second, would be one
            "scopes": [*scopes],
            "iat": unix_now(),
            "exp": expires_at,
        }
        if one_time:
            claims["otu"] = True
        if hidden:
            claims["realtime"] = {"skipColumns": [*hidden]}
        return jwt.encode(claims, self._secret, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]

    async def claims(self, key: Key, text: str) -> dict[str, Any]:
        """Return what a client has to put into a token that it signs with a key, whose text is kept from now on.

        Raises Unavailable.
        """
        await self._keys.keep(key, text)
        return {"sub": key.project_id, "pub": True, "jti": new_id("token")}

    async def read(self, token: str) -> PublicToken:
        """Return what a token says, also when it has expired.

        Raises:
            Unauthenticated: nobody who may has signed it, or the key it was signed with lives no more.
            Forbidden: it is the token of a run.
            Unavailable: the database could not be asked.
        """
        if len(token) > MAX_BYTES:
            raise Unauthenticated(f"the token is longer than the {MAX_BYTES:,} bytes that are read")
        token_hash = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._known.get(token_hash)
        if verified is None:
            verified = await self._verify(token)
            if len(self._known) >= _KNOWN:
                del self._known[next(iter(self._known))]
            self._known[token_hash] = verified
        key = await self._keys.live(verified.project_id, verified.key_id)
        return PublicToken(key, verified.scopes, verified.expires_at, token_hash, verified.one_time, verified.hidden)

    def forget(self, key_id: str) -> None:
        """Ask anew what became of a key."""
        self._keys.forget(key_id)

    async def _verify(self, token: str) -> _Verified:
        claims, signed, signature = _unverified(token)
        project_id = claims.get("sub")
        if claims.get("iss") == RUN_TOKEN_ISSUER:
            raise Forbidden("a run token speaks for its run under /sdk/v1 only: use an API key or a public token here")
        if not isinstance(project_id, str) or "\0" in project_id:
            raise Unauthenticated(_NOT_VALID)
        key_id = claims.get("key")
        if isinstance(key_id, str):
            if not _is_signed_with(self._secret, signed, signature):
                raise Unauthenticated(_NOT_VALID)
            return _verified(project_id, key_id, _decode(token, self._secret))
        began = monotonic()
        for since in (0.0, began):  # the key may be younger than what is remembered
            for one in await self._keys.that_sign(project_id, since=since):
                if one.text is not None and _is_signed_with(one.text, signed, signature):
                    return _verified(project_id, one.key.key_id, _decode(token, one.text))
        raise Unauthenticated(_NOT_VALID)


def _is_signed_with(text: bytes, signed: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(text, signed, "sha256"), signature)


def _unverified(token: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the claims of a token that nobody has checked, what is signed of it, and the signature.

    Raises:
        Unauthenticated: it is no token, or not of the one algorithm that is taken.
    """
    try:
        whole = jwt.decode_complete(  # pyright: ignore[reportUnknownMemberType]
            token, options={"verify_signature": False}
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise Unauthenticated("the token cannot be read: it is no whole JWT") from error
    if whole["header"].get("alg") != "HS256":
        raise Unauthenticated("the token is not signed with HS256: no other algorithm is taken")
    return whole["payload"], token.rpartition(".")[0].encode("ascii", "replace"), whole["signature"]


def _decode(token: str, text: bytes) -> dict[str, Any]:
    """Return the claims of a token that is signed with that text. Raises Unauthenticated."""
    try:
        return jwt.decode(  # pyright: ignore[reportUnknownMemberType]
            token,
            text,
            algorithms=["HS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            # Clients' clocks differ from ours; what has expired is told apart later.
            options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"the token is not valid: {error}") from error


def _verified(project_id: str, key_id: str, claims: dict[str, Any]) -> _Verified:
    expires_at = claims["exp"]
    if claims.get("pub") is not True:
        raise Unauthenticated("the token is not a public one: its claim `pub` has to be true")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or not isfinite(expires_at):
        raise Unauthenticated("the token's claim `exp` is no time")
    realtime = claims.get("realtime")
    hidden = cast(dict[str, Any], realtime).get("skipColumns") if isinstance(realtime, dict) else None
    return _Verified(
        project_id=project_id,
        key_id=key_id,
        scopes=parse_all(_texts(claims.get("scopes"))),
        expires_at=expires_at,
        one_time=claims.get("otu") is True,
        hidden=frozenset(_texts(hidden)),
    )


def _texts(value: Any) -> Iterable[str]:
    """Return the strings in a list; what is none is passed over, and what is no list is an empty one."""
    return [one for one in cast(list[Any], value) if isinstance(one, str)] if isinstance(value, list) else ()
