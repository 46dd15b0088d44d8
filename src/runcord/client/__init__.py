"""The Python client of Runcord, asynchronous and synchronous, both from one description.

with Client(base_url, api_key) as client:
    run = client.jobs.trigger("resize", {"image": 7}, idempotency_key="image-7")
    print(client.runs.wait(run.id).result)
"""

from runcord.client._async.attempt import AsyncAttempt
from runcord.client._async.client import AsyncClient
from runcord.client._async.pager import AsyncPager
from runcord.client._async.stream import AsyncEventStream
from runcord.client._sync.attempt import Attempt
from runcord.client._sync.client import Client
from runcord.client._sync.pager import Pager
from runcord.client._sync.stream import EventStream
from runcord.client.errors import (
    AuthenticationError,
    BulkNotFinishedError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RuncordClientError,
    RunNotFinishedError,
    ServerError,
    StaleAttemptError,
    TooLargeError,
    TransportError,
    UnavailableError,
    UnexpectedAnswerError,
    UnprocessableError,
    ValidationError,
)
from runcord.client.models import (
    Batch,
    BulkOperation,
    BulkOutcome,
    Checkpoint,
    Claim,
    DependencyStatus,
    HistoryEvent,
    Job,
    JobDependency,
    JobHealth,
    ReceivedEvent,
    Rehearsal,
    Run,
    RunChange,
    RunDiff,
    RunEvent,
    RunStats,
    StreamChunk,
    StreamEvent,
    TriggeredRun,
)
from runcord.client.options import JobFields, RunChoice, Settlement, SingleTriggerOptions, TriggerItem, TriggerOptions
from runcord.client.page import Page

__all__ = [
    "AsyncAttempt",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncPager",
    "Attempt",
    "AuthenticationError",
    "Batch",
    "BulkNotFinishedError",
    "BulkOperation",
    "BulkOutcome",
    "Checkpoint",
    "Claim",
    "Client",
    "ConflictError",
    "DependencyStatus",
    "EventStream",
    "HistoryEvent",
    "Job",
    "JobDependency",
    "JobFields",
    "JobHealth",
    "NotFoundError",
    "Page",
    "Pager",
    "PermissionDeniedError",
    "RateLimitedError",
    "ReceivedEvent",
    "Rehearsal",
    "Run",
    "RunChange",
    "RunChoice",
    "RunDiff",
    "RunEvent",
    "RunNotFinishedError",
    "RunStats",
    "RuncordClientError",
    "ServerError",
    "Settlement",
    "SingleTriggerOptions",
    "StaleAttemptError",
    "StreamChunk",
    "StreamEvent",
    "TooLargeError",
    "TransportError",
    "TriggerItem",
    "TriggerOptions",
    "TriggeredRun",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnprocessableError",
    "ValidationError",
]
