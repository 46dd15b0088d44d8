"""What a log line says, and where it goes."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from runcord.logs import configure_logging, current_request

configure_logging({level!r}, {format!r})
log = structlog.get_logger("runcord.somewhere")
log.debug("too_small")
log.info("outside", answer=42)
logging.getLogger("a.library").warning("it said %s", "this")
current_request.set({{
    "headers": [(b"x-request-id", b"req_1"), (b"traceparent", b"00-0af7651916cd43dd-b7ad6b71-01")],
    "path_params": {{"run_id": "run_1"}},
}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("inside", request_id="req_own")
"""


def lines(level: str, format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level, format=format)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_an_object_with_its_facts_and_the_ids_of_its_request() -> None:
    outside, library, inside = (json.loads(line) for line in lines("info", "json"))
    assert (outside["event"], outside["level"], outside["answer"]) == ("outside", "info", 42)
    assert outside["logger"] == "runcord.somewhere"
    assert outside["timestamp"].endswith("Z")
    assert "request_id" not in outside
    assert (library["event"], library["logger"]) == ("it said this", "a.library")
    assert (inside["run_id"], inside["trace_id"]) == ("run_1", "0af7651916cd43dd")
    assert inside["request_id"] == "req_own"
    assert "ZeroDivisionError" in inside["exception"]


def test_console_lines_are_for_people() -> None:
    text = "\n".join(lines("warning", "console"))
    assert "it said this" in text and "run_id=run_1" in text
    assert "outside" not in text and "\x1b" not in text
