"""What all calls of `/sdk/v1` have in common: whom they speak for, and what their answers carry."""

from typing import Any

from runcord.handling.runs import Reported, ReportRun
from runcord.http.operation import Answer, Call
from runcord.http.run_answers import run_as_it_was
from runcord.ledger.committer import Committed
from runcord.run import commands as c

SCOPE = "runs:work"
TAG = "workers"

_CAPABILITIES = "progress,checkpoint,usage"
_SINCE_MAJOR = 2
_MAX_VERSION = 64


async def report(call: Call, command: c.WorkerCommand) -> Committed:
    """Execute what a worker says about the run in the path; the value is a `Reported`."""
    handler = ReportRun(call.context, call.path["run_id"], command)
    return await call.backend.committer.execute(call.project_id, handler)


async def run_answer(call: Call, committed: Committed) -> Answer:
    """Return the run after a report, as its answer."""
    reported: Reported = committed.value
    return sdk_answer(
        call, await run_as_it_was(call, reported.run), position=committed.position, version=reported.run.version
    )


def sdk_answer(
    call: Call, body: Any, status: int = 200, *, position: int | None = None, version: int | None = None
) -> Answer:
    """Return an answer with the headers by which Strait's SDKs learn what the server can do."""
    return Answer(body, status, position, version, _sdk_headers(call.request.fields.get("x-sdk-version", "")))


def _sdk_headers(version: str) -> dict[str, str]:
    if not (version.isascii() and version.isprintable() and len(version) <= _MAX_VERSION):
        version = ""
    major = version.lstrip("v").partition(".")[0]
    is_recent = major.isdigit() and int(major) >= _SINCE_MAJOR
    return {
        "X-SDK-Version-Accepted": version or "legacy",
        "X-SDK-Capabilities": _CAPABILITIES if is_recent else "none",
    }
