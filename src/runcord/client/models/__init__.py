"""What the server answers, as typed models.

Members that this version does not know are kept (`model_extra`), so a newer server does no harm. Values that only
their author understands (payloads, results, states) are plain JSON values.
"""

from runcord.client.models.base import Model
from runcord.client.models.bulk import (
    BatchOperation,
    BulkAccepted,
    BulkCanceled,
    BulkCancelItem,
    BulkOperation,
    BulkOutcome,
    BulkReplayed,
    BulkReplayItem,
    BulkRequeued,
    BulkTargets,
)
from runcord.client.models.events import EventStats, EventTrigger, PurgedWaits, SentToPrefix
from runcord.client.models.jobs import DependencyStatus, Job, JobDependency, JobHealth, RunDependency, Switched
from runcord.client.models.keys import ApiKey, NewApiKey, RotatedApiKey
from runcord.client.models.projections import Projection, ProjectionComparison, ProjectionGeneration, RowDifference
from runcord.client.models.record import (
    Checkpoint,
    HistoryEvent,
    LedgerEvent,
    Output,
    RunEvent,
    StateEntry,
    StreamChunk,
    StreamEvent,
    ToolCall,
    Usage,
)
from runcord.client.models.runs import (
    FINISHED,
    Acknowledgement,
    Batch,
    BatchItem,
    KeyReset,
    Rehearsal,
    Run,
    RunChange,
    RunDiff,
    RunStats,
    TriggeredRun,
)
from runcord.client.models.work import Claim, Claims, EventWait, Heartbeat, ReceivedEvent, Settled, SettledMany

__all__ = [
    "FINISHED",
    "Acknowledgement",
    "ApiKey",
    "Batch",
    "BatchItem",
    "BatchOperation",
    "BulkAccepted",
    "BulkCancelItem",
    "BulkCanceled",
    "BulkOperation",
    "BulkOutcome",
    "BulkReplayItem",
    "BulkReplayed",
    "BulkRequeued",
    "BulkTargets",
    "Checkpoint",
    "Claim",
    "Claims",
    "DependencyStatus",
    "EventStats",
    "EventTrigger",
    "EventWait",
    "Heartbeat",
    "HistoryEvent",
    "Job",
    "JobDependency",
    "JobHealth",
    "KeyReset",
    "LedgerEvent",
    "Model",
    "NewApiKey",
    "Output",
    "Projection",
    "ProjectionComparison",
    "ProjectionGeneration",
    "PurgedWaits",
    "ReceivedEvent",
    "Rehearsal",
    "RotatedApiKey",
    "RowDifference",
    "Run",
    "RunChange",
    "RunDependency",
    "RunDiff",
    "RunEvent",
    "RunStats",
    "SentToPrefix",
    "Settled",
    "SettledMany",
    "StateEntry",
    "StreamChunk",
    "StreamEvent",
    "Switched",
    "ToolCall",
    "TriggeredRun",
    "Usage",
]
