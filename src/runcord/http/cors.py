"""Cross-origin requests: pages of any origin may call what public tokens open.

Nothing is told by cookies here, so that `*` is safe: whoever has a token may use it from anywhere.
"""

import re
from collections.abc import Iterable, Mapping

EXPOSED = (
    "electric-offset",
    "electric-handle",
    "electric-schema",
    "electric-cursor",
    "electric-up-to-date",
    "x-trigger-jwt",
    "x-trigger-jwt-claims",
    "x-should-retry",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-stream-version",
    "x-last-chunk-index",
    "x-request-id",
    "x-next-cursor",
    "runcord-position",
    "retry-after",
    "link",
    "etag",
)
"""Headers of answers that pages may read."""

ALLOWED = (
    "authorization",
    "content-type",
    "last-event-id",
    "timeout-seconds",
    "if-none-match",
    "idempotency-key",
    "idempotency-key-ttl",
    "batch-processing-strategy",
    "traceparent",
    "tracestate",
    "trigger-version",
    "x-trigger-api-version",
    "x-trigger-branch",
    "x-trigger-client",
    "x-trigger-source",
    "x-trigger-electric-version",
    "x-trigger-realtime-streams-version",
    "x-trigger-request-idempotency-key",
    "x-trigger-span-parent-as-link",
    "x-trigger-worker",
    "x-trigger-engine-version",
    "x-trigger-stream-start",
    "x-client-id",
    "x-part-id",
    "x-resume-from-chunk",
    "x-stream-version",
    "x-request-id",
)
"""Headers that pages may send; `*` would not cover `authorization`. Others that a client asks for are allowed too."""

HEADERS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": ", ".join(EXPOSED),
}
"""What every answer carries, refusals too: without it a page learns nothing but that something failed."""

_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(\s*,\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_MOST = 2048
_AGE_SECS = 7200
"""The longest that browsers believe."""


def preflight_headers(methods: Iterable[str], asked: str) -> Mapping[str, str]:
    """Return the headers of the answer to a browser that asks whether it may send these request headers."""
    allowed = dict.fromkeys(ALLOWED)
    if len(asked) <= _MOST and _NAMES.fullmatch(asked.strip()):
        allowed |= dict.fromkeys(name.strip().lower() for name in asked.split(","))
    return {
        **HEADERS,
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": ", ".join(allowed),
        "Access-Control-Max-Age": str(_AGE_SECS),
    }
