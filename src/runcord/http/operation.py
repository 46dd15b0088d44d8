"""Operations: each route declared once, for the router, the validation and the OpenAPI document alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from runcord.errors import Invalid, NotFound
from runcord.http.backend import Backend
from runcord.http.credentials import Key
from runcord.http.dialect import Dialect
from runcord.http.public_tokens import PublicToken
from runcord.http.quiet_stream import OpenSource
from runcord.http.request import Request
from runcord.http.run_tokens import RunToken
from runcord.http.sse import MEDIA_TYPE, Blocks
from runcord.key.state import ALL
from runcord.key.token_scopes import Action, Resource
from runcord.ledger.transaction import Context
from runcord.run.commands import Claim

M = TypeVar("M", bound=BaseModel)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

Access = Literal["key", "run", "address", "public"]
"""Who may call: an API key with the operation's scope; that, or the token of the run in the path; whoever was told the
address, which is sealed; anybody."""


class Body(BaseModel):
    """A request body.

    Unknown members are refused, because a misspelt one would silently do nothing, and nothing is converted: `"5"`
    is no number.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _take_whole_numbers(cls, value: Any) -> Any:
        """JSON has one kind of number: 5.0 is as whole as 5."""
        if not isinstance(value, dict):
            return value
        members = cast(dict[str, Any], value)
        if float not in map(type, members.values()):
            return members
        whole = {
            name: int(number)
            for name in whole_members(cls) & members.keys()
            if isinstance(number := members[name], float) and number.is_integer()
        }
        return {**members, **whole} if whole else members


@cache
def whole_members(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the members that are whole numbers."""
    return frozenset(name for name, field in model.model_fields.items() if _is_whole(field.annotation))


def _is_whole(kind: Any) -> bool:
    return kind is int or (get_origin(kind) in (Annotated, Union, UnionType) and any(map(_is_whole, get_args(kind))))


class Query(BaseModel):
    """Query parameters: unknown ones are passed over, as clients and proxies add their own."""

    model_config = ConfigDict(extra="ignore")


class Answer(NamedTuple):
    """What a handler returns: `body` is anything that orjson writes, or nothing."""

    body: Any = None
    status: int = 200
    position: int | None = None
    """The ledger's position after a command, for `Runcord-Position`."""
    version: int | None = None
    """The version of the run or job in the body, for `ETag`."""
    headers: Mapping[str, str] = MappingProxyType({})
    blocks: Blocks | None = None
    """In the place of a body: what to send on a stream, for operations that are one."""
    source: OpenSource | None = None
    """The same, for streams of which very many are open and idle."""


class Call(NamedTuple):
    """One request, authenticated and validated."""

    request: Request
    backend: Backend
    request_id: str
    received: float
    """When it was there, whole, by the monotonic clock."""
    key: Key | None = None
    token: RunToken | None = None
    public: PublicToken | None = None
    """A public token, or what a public API key is worth."""
    given_body: BaseModel | None = None
    given_query: BaseModel | None = None

    @property
    def project_id(self) -> str:
        """The project that the credential belongs to; there is no other way to name one."""
        if self.key is not None:
            return self.key.project_id
        return self.token.project_id if self.token is not None else self.signer.project_id

    @property
    def signer(self) -> Key:
        """The API key that the caller has, or in whose name its public token was made. Run tokens have none."""
        key = self.public.key if self.public is not None else self.key
        assert key is not None
        return key

    @property
    def hidden(self) -> frozenset[str]:
        """The columns of runs, by Trigger.dev's names, that the caller may not see."""
        return self.public.hidden if self.public is not None else frozenset()

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters of the path."""
        return self.request.path_params

    @property
    def actor(self) -> str:
        """Who calls, as the ledger names it."""
        if self.token is not None:
            return f"run:{self.token.run_id}"
        return f"token:{self.public.key.key_id}" if self.public is not None else self.signer.actor

    @property
    def context(self) -> Context:
        """What every event that comes of this call says about it."""
        return Context(
            actor=self.actor,
            request_id=self.request_id,
            trace=self.request.fields.get("traceparent", "")[:128] or None,
            received=self.received,
        )

    @property
    def wants_stream(self) -> bool:
        """Whether the caller asks for server-sent events."""
        return MEDIA_TYPE in self.request.fields.get("accept", "")

    @property
    def claim(self) -> Claim:
        """Which attempt the caller speaks for: its run token's, or the one in `X-Runcord-Attempt`."""
        claim = self.token.claim if self.token is not None else Claim()
        attempt = named_attempt(self.request)
        return claim if attempt is None else Claim(attempt=attempt, fence=claim.fence)

    def permits(self, scope: str) -> bool:
        """Whether the caller's key has a scope."""
        return self.key is not None and not self.key.scopes.isdisjoint((scope, ALL))

    def require_own_project(self, project_id: str | None) -> None:
        """Raise NotFound if the request names a project that is not the credential's."""
        if project_id is not None and project_id != self.project_id:
            raise NotFound(f"there is no project {project_id[:128]!r} that this credential may use")

    def body(self, model: type[M]) -> M:
        """Return the validated body; `model` is the one that the operation declares."""
        assert isinstance(self.given_body, model)
        return self.given_body

    def query(self, model: type[M]) -> M:
        """Return the validated query parameters; `model` is the one that the operation declares."""
        assert isinstance(self.given_query, model)
        return self.given_query


def named_attempt(request: Request) -> int | None:
    """Return the attempt that `X-Runcord-Attempt` names.

    Raises:
        Invalid: it names none.
    """
    given = request.fields.get("x-runcord-attempt")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) > 0):
        raise Invalid("X-Runcord-Attempt must be a number of an attempt: 1, 2, 3 …")
    return int(given)


def _never(request: Request, token: PublicToken) -> bool:
    return False


def _tells_no_repeats(call: Call) -> None:
    return None


Target = Callable[[Call], AsyncIterator[Resource]]
"""Says what a call is about."""


@dataclass(frozen=True)
class TokenAccess:
    """How public tokens may call an operation."""

    action: Action
    target: Target
    """What the call is about, most telling first: a scope of any one of these is enough, and the others are not asked
    for then. See `runcord.http.targets`."""
    hides: bool = False
    """Whether the handler leaves out what `Call.hidden` names: without it, tokens that may not see all are refused."""
    spends: bool = False
    """Whether the call uses up a token for one use."""
    repeat_key: Callable[[Call], str | None] = _tells_no_repeats
    """What a call has in common with those that repeat it, which the handler answers as it did the first: then a token
    that this very call has used up will do."""
    goes_on: Callable[[Request, PublicToken], bool] = _never
    """Whether a request goes on with what an earlier one began: then a token that has expired since then will do."""


@dataclass(frozen=True)
class RawBody:
    """A body that the handler reads by itself, as it comes."""

    media_type: str
    line: Any = None
    """The type of each value, where there is a JSON value to a line."""


@dataclass(frozen=True)
class Operation:
    """One route. The docstring of `handle` is its description; `summary` is a few words."""

    method: Method
    path: str
    """Starlette's syntax: `/v1/runs/{run_id}`."""
    handle: Callable[[Call], Awaitable[Answer]]
    summary: str
    tag: str
    scope: str | None = None
    other_scopes: tuple[str, ...] = ()
    """Scopes that do as well."""
    access: Access = "key"
    tokens: TokenAccess | None = None
    """How public tokens, and public API keys, may call: not at all unless it is said. Their key needs the scope."""
    dialect: Dialect | None = None
    """Whose way to refuse it has, if not ours."""
    body: type[BaseModel] | None = None
    raw_body: RawBody | None = None
    """A body that is no document."""
    query: type[BaseModel] | None = None
    answer: Any = None
    """The model or type of the answer's body, or of the data of each event of a stream, for the OpenAPI document."""
    media_type: str = "application/json"
    """What the answer is: JSON, or a stream of server-sent events."""
    stream: Any = None
    """Of an answer in JSON: the type of the data of each event, where the caller may have a stream instead."""
    status: int = 200
    other_answers: Mapping[int, Any] = field(default_factory=dict[int, Any])
    """Further statuses and the models of their bodies, None for no body; those of errors need no mention."""
    refusal_status: int | Mapping[str, int] | None = None
    """The HTTP status for an illegal transition where the dialect's is not 409: one, or by the run's status."""
    may_limit: bool = False
    """Whether it may be refused because of a limit on its rate."""
    body_limit_factor: int = 1
    """How many times the usual size a body may have: for calls about many runs."""

    def status_of_refusal(self, run_status: str | None) -> int:
        """Return the HTTP status for a transition that the run's status does not allow."""
        given, usual = self.refusal_status, self.status_of_conflict
        return (given.get(run_status or "", usual) if isinstance(given, Mapping) else given) or usual

    @property
    def status_of_conflict(self) -> int:
        """The HTTP status for what the present state does not allow."""
        return 409 if self.dialect is None else self.dialect.status_of_conflict

    @property
    def is_for_browsers(self) -> bool:
        """Whether pages of any origin may call it."""
        return self.dialect is not None or self.tokens is not None

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream, which may never end."""
        return self.media_type == MEDIA_TYPE or self.stream is not None

    @property
    def takes_credentials(self) -> bool:
        """Whether callers have to show who they are."""
        return self.access in {"key", "run"}

    @property
    def is_read(self) -> bool:
        """Whether it only reads what belongs to the caller's project: its answer is as of a position."""
        return self.method == "GET" and self.takes_credentials

    @property
    def operation_id(self) -> str:
        """The name of the handler."""
        return self.handle.__name__
