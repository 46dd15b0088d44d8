"""The Python worker of Runcord: handlers for jobs, and the loop that takes runs, keeps leases and reports."""

from runcord.worker._async.context import AsyncRunContext, AsyncRunState
from runcord.worker._sync.context import RunContext, RunState
from runcord.worker.outcome import Cancelled, Fatal, Release, Retry
from runcord.worker.worker import Worker

__all__ = [
    "AsyncRunContext",
    "AsyncRunState",
    "Cancelled",
    "Fatal",
    "Release",
    "Retry",
    "RunContext",
    "RunState",
    "Worker",
]
