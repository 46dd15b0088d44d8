"""JSON Schemas that jobs and workers give: checking them, and checking values against them.

The validator is `jsonschema-rs`: its regular expressions cannot be made to run for ever, and it is told to fetch
nothing, so a `$ref` leads only into the schema itself.
"""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from runcord.errors import Invalid, PayloadInvalid, ResultInvalid
from runcord.job.state import Job

_CACHED = 512


def check_schema(schema: Any, what: str) -> None:
    """Raise Invalid unless `schema` is a JSON Schema that can be used."""
    try:
        _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise Invalid(f"{what} is not a usable JSON Schema: {error_text(error)}") from error


def check_payload(job: Job, payload: Any, where: str = "") -> None:
    """Raise PayloadInvalid unless the payload fits the job's schema; a job without one takes anything."""
    schema = job.settings.payload_schema
    if schema is not None:
        problems = problems_of(schema, payload)
        if problems:
            raise PayloadInvalid(
                f"{where}the payload does not match the payload schema of job {job.settings.slug!r}: {problems[0]}",
                details=problems,
            )


def check_result(job: Job, result: Any) -> None:
    """Raise ResultInvalid unless the result fits the job's schema; a job without one takes anything."""
    schema = job.settings.result_schema
    if schema is not None:
        problems = problems_of(schema, result)
        if problems:
            raise ResultInvalid(
                f"the result does not match the result schema of job {job.settings.slug!r}: {problems[0]}",
                details=problems,
            )


def check_value(schema: Any, value: Any, what: str) -> None:
    """Raise Invalid unless `schema` can be used and the value fits it."""
    check_schema(schema, "schema")
    problems = problems_of(schema, value)
    if problems:
        raise Invalid(f"{what} does not match the schema given with it: {problems[0]}", details=problems)


def problems_of(schema: Any, value: Any) -> list[str]:
    """Return what is wrong with `value`, at most ten lines of `<path>: <message>`."""
    validator = _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    problems: list[str] = []
    for error in validator.iter_errors(value):
        path = "/".join(str(part) for part in error.instance_path) or "(root)"
        problems.append(f"{path}: {error.message[:300]}")
        if len(problems) == 10:
            break
    return problems


def error_text(error: BaseException) -> str:
    """Return the first line of what a validator says, cut to a length that fits an answer."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@lru_cache(_CACHED)
def _validator(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(orjson.loads(schema), retriever=_fetch_nothing)


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"references outside the schema are not followed: {uri[:200]}")
