"""The OpenAPI 3.1 document, made from the operations and their models: what is served is what is described."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from inspect import getdoc
from typing import Any, Literal, cast

from openapi_pydantic import (
    Components,
    DataType,
    Header,
    Info,
    MediaType,
    OpenAPI,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
    Tag,
)
from openapi_pydantic import Operation as Described
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode

from runcord.http.freshness import MIN_POSITION
from runcord.http.models.page import Document, Maybe, PageQuery
from runcord.http.models.run import AnyJson
from runcord.http.models.stream import MOST_DIGITS
from runcord.http.operation import Operation, RawBody
from runcord.http.operations import OPERATIONS
from runcord.http.sse import MEDIA_TYPE as EVENTS

REF = "#/components/schemas/{model}"

TAGS = {
    "jobs": "Jobs: what runs are made of.",
    "runs": "Runs: making them, what they are, what they left on record, and what may be done with them.",
    "bulk": "Operations on many runs that go on in the background.",
    "history": "The record itself: every event of a run or of an API key, in its order.",
    "workers": "Taking runs, and reporting on them.",
    "batches": "What was triggered at once.",
    "events": "The events of the ledger, and the ones that runs wait for.",
    "projections": "Read models: how far they are, rebuilding, comparing, switching.",
    "api-keys": "API keys and what they may do.",
    "trigger.dev": "The API of Trigger.dev's clients.",
    "system": "The server itself.",
}

_PATH_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")

_ERRORS = {
    400: "The request is not valid; `message` and `details` say what to change.",
    401: "There is no credential, or it is not a good one.",
    403: "The credential does not permit this.",
    404: "There is no such thing in this project.",
    409: "The present state does not allow this; nothing was changed.",
    413: "The body is larger than allowed.",
    422: "The request is well-formed but contradicts an earlier one, or what the job promises.",
    429: "A limit on the rate is reached; `Retry-After` says when to come again.",
    500: "Something went wrong on our side.",
    503: "The server cannot do this just now; try again shortly.",
}


class Problem(Document):
    """What every error answers: the members that Strait's clients read, and those of RFC 9457."""

    error: str
    code: str
    message: str
    request_id: str
    type: str
    title: str
    status: int
    detail: str
    details: Maybe[list[AnyJson]] = None


@cache
def document() -> Mapping[str, Any]:
    """Return the document as JSON members; it is made once."""
    return describe(OPERATIONS)


def describe(operations: Sequence[Operation]) -> Mapping[str, Any]:
    """Return the OpenAPI document of some operations."""
    schemas = _Schemas(operations)
    paths: dict[str, PathItem] = {}
    for operation in operations:
        item = paths.setdefault(path_of(operation), PathItem())
        setattr(item, operation.method.lower(), _describe(operation, schemas))
    used = {operation.tag for operation in operations}
    described = OpenAPI(
        openapi="3.1.1",
        info=Info(
            title="Runcord",
            version=version("runcord"),
            description="The run ledger for background jobs and AI-agent runs. Times are RFC 3339 in UTC, lists are "
            "arrays with `X-Next-Cursor` and `Link` headers, errors look like `Problem`.",
        ),
        tags=[Tag(name=name, description=text) for name, text in TAGS.items() if name in used],
        paths=paths,
        components=Components(
            securitySchemes={
                "apiKey": SecurityScheme(type="http", scheme="bearer", description="An API key of a project."),
                "runToken": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearerFormat="JWT",
                    description="The token of a run, which its trigger and its claim come with.",
                ),
                "publicToken": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearerFormat="JWT",
                    description="A public token, good for what its scopes say; or a public API key (`pk_…`).",
                ),
            }
        ),
    )
    members = described.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    members["components"]["schemas"] = schemas.definitions
    return members


def problem_of(operation: Operation) -> Any:
    """Return the model of the bodies of its errors."""
    return Problem if operation.dialect is None else operation.dialect.problem


def path_of(operation: Operation) -> str:
    """Return the path of an operation as OpenAPI writes it."""
    return _PATH_PARAMETER.sub(r"{\1}", operation.path)


class _Schemas:
    """The schemas of all models, under names of their own."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        wanted: dict[tuple[int, JsonSchemaMode], Any] = {}
        for operation in operations:
            for kind, side in _types(operation):
                wanted[id(kind), side] = kind
        inputs: list[tuple[tuple[int, JsonSchemaMode], JsonSchemaMode, TypeAdapter[Any]]] = [
            (key, key[1], TypeAdapter(kind)) for key, kind in wanted.items()
        ]
        found, pool = TypeAdapter.json_schemas(inputs, ref_template=REF)
        self._found = {key: cast(dict[str, Any], _without_placeholders(schema)) for (key, _), schema in found.items()}
        self.definitions = cast(dict[str, Any], _without_placeholders(pool.get("$defs", {})))

    def of(self, kind: Any, side: JsonSchemaMode) -> Schema:
        return Schema.model_validate(self._found[id(kind), side])

    def members(self, kind: Any) -> tuple[dict[str, Any], set[str]]:
        """Return the schemas of a query's parameters and the names of those that are required."""
        schema = self._found[id(kind), "validation"]
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
        return schema.get("properties", {}), set(schema.get("required", ()))


def _types(operation: Operation) -> list[tuple[Any, JsonSchemaMode]]:
    line = None if operation.raw_body is None else operation.raw_body.line
    given: tuple[Any, ...] = (operation.body, operation.query, line)
    problem = problem_of(operation)
    answered: tuple[Any, ...] = (operation.answer, operation.stream, *operation.other_answers.values(), problem)
    sides: tuple[tuple[JsonSchemaMode, tuple[Any, ...]], ...] = (("validation", given), ("serialization", answered))
    return [(kind, side) for side, kinds in sides for kind in kinds if kind is not None]


def _without_placeholders(schema: Any) -> Any:
    """Return a schema without the defaults, null and empty, that stand for a member that is left out."""
    if isinstance(schema, dict):
        members = cast(dict[str, Any], schema)
        return {
            name: _without_placeholders(value)
            for name, value in members.items()
            if name != "default" or value not in (None, "")
        }
    return [_without_placeholders(item) for item in cast(list[Any], schema)] if isinstance(schema, list) else schema


def _describe(operation: Operation, schemas: _Schemas) -> Described:
    text = getdoc(operation.handle) or ""
    if operation.scope is not None:
        scopes = " or ".join(f"`{scope}`" for scope in (operation.scope, *operation.other_scopes))
        text += f"\n\nScope: {scopes}."
    if operation.tokens is not None:
        text += f"\n\nPublic tokens may call this, with a scope to {operation.tokens.action} what it is about."
    body = None
    if operation.body is not None:
        schema = schemas.of(operation.body, "validation")
        body = RequestBody(
            required=not _permits_nothing(operation.body), content={"application/json": MediaType(schema=schema)}
        )
    elif operation.raw_body is not None:
        schema = _schema_of_raw(operation.raw_body, schemas)
        body = RequestBody(required=True, content={operation.raw_body.media_type: MediaType(schema=schema)})
    return Described(
        operationId=operation.operation_id,
        tags=[operation.tag],
        summary=operation.summary,
        description=text,
        parameters=_parameters(operation, schemas) or None,
        requestBody=body,
        responses=_responses(operation, schemas),
        security=_security(operation),
    )


def _schema_of_raw(body: RawBody, schemas: _Schemas) -> Schema:
    if body.line is not None:
        return Schema(type=DataType.ARRAY, items=schemas.of(body.line, "validation"), description="One to a line.")
    is_text = body.media_type.startswith("text/")
    return Schema(type=DataType.STRING) if is_text else Schema(description="Any bytes.")


def _permits_nothing(model: type[BaseModel]) -> bool:
    """Return whether a request may come without a body, which counts as `{}`."""
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    match operation.access:
        case "public" | "address":
            return []
        case "key":
            return [{"apiKey": []}] if operation.tokens is None else [{"apiKey": []}, {"publicToken": []}]
        case "run":
            return [{"apiKey": []}, {"runToken": []}]


def _parameters(operation: Operation, schemas: _Schemas) -> list[Parameter | Reference]:
    text = {"type": "string"}
    found: list[Parameter | Reference] = [
        _parameter(name, "path", text, required=True) for name in _PATH_PARAMETER.findall(operation.path)
    ]
    may_be_empty = operation.query is not None and issubclass(operation.query, PageQuery)  # then it counts as absent
    if operation.query is not None:
        members, required = schemas.members(operation.query)
        found += [
            _parameter(name, "query", schema, required=name in required, may_be_empty=may_be_empty)
            for name, schema in members.items()
        ]
    if operation.is_read:
        description = "The answer is not older than this: the `Runcord-Position` of an answer that was seen."
        number = {"type": "string", "pattern": "^[0-9]{0,18}$", "description": description}
        found.append(_parameter(MIN_POSITION, "query", number, may_be_empty=may_be_empty))
    if operation.is_stream:
        description = "The `id` of the last frame that was seen, as browsers send it when they reconnect."
        number = {"type": "string", "pattern": f"^([0-9]{{1,{MOST_DIGITS}}})?$"}
        found.append(_parameter("Last-Event-ID", "header", {**number, "description": description}))
    if operation.access == "run":
        number = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
        description = "The attempt that the caller speaks for; one that is not the present one is refused."
        found.append(_parameter("X-Runcord-Attempt", "header", {**number, "description": description}))
    return found


def _parameter(
    name: str,
    location: Literal["path", "query", "header"],
    schema: Mapping[str, Any],
    *,
    required: bool = False,
    may_be_empty: bool = False,
) -> Parameter:
    kind = _never_null({key: value for key, value in schema.items() if key != "description"})
    # `name[key]=value` for each member.
    style = {"style": "deepObject", "explode": True} if kind.get("type") == "object" else {}
    return Parameter.model_validate(
        {
            "name": name,
            "in": location,
            "required": required,
            **({"allowEmptyValue": True} if may_be_empty else {}),
            "description": schema.get("description"),
            "schema": kind,
            **style,
        }
    )


def _never_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a parameter without null: what is not given is absent."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}


def statuses_of_errors(operation: Operation) -> list[int]:
    """Return the statuses of errors that the operation may answer."""
    found = {500, 503}
    if operation.access != "public":
        found.add(403)
    if operation.takes_credentials:
        found.add(401)
    if operation.query is not None or operation.body is not None or operation.access == "run":
        found.add(400)
    if "{" in operation.path or (
        operation.query is not None and not operation.query.model_fields.keys().isdisjoint(("project_id", "job"))
    ):
        found.add(404)
    if operation.method != "GET" and operation.takes_credentials:
        found |= {400, 404, operation.status_of_conflict, 422}
        refusal = operation.refusal_status
        found |= set(refusal.values()) if isinstance(refusal, Mapping) else {operation.status_of_refusal(None)}
    if operation.is_read:
        found |= {400, operation.status_of_conflict}  # `min_position`
    if operation.body is not None or operation.raw_body is not None:
        found.add(413)
    if operation.is_stream or operation.may_limit:
        found.add(429)
    return sorted(found)


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Response | Reference]:
    answers = {operation.status: operation.answer, **operation.other_answers}
    is_list = operation.query is not None and issubclass(operation.query, PageQuery)
    done = "Server-sent events: the schema is that of each." if operation.is_stream else "Done."
    responses: dict[str, Response | Reference] = {}
    for status, kind in answers.items():
        is_usual = status == operation.status
        content: dict[str, MediaType] = {}
        if kind is not None:
            media_type = operation.media_type if is_usual else "application/json"
            schema = schemas.of(kind, "serialization")
            content[media_type] = MediaType(schema=_event(schema) if media_type == EVENTS else schema)
        if is_usual and operation.stream is not None:
            content[EVENTS] = MediaType(schema=_event(schemas.of(operation.stream, "serialization")))
        responses[str(status)] = Response(
            description=done if status < 400 else _ERRORS[status],
            headers=_headers(is_read=operation.is_read, is_list=is_list and status == operation.status),
            content=content or None,
        )
    problem = {"application/json": MediaType(schema=schemas.of(problem_of(operation), "serialization"))}
    for status in statuses_of_errors(operation):
        if status not in answers:
            headers = _headers(is_limit=status == 429)
            responses[str(status)] = Response(description=_ERRORS[status], headers=headers, content=problem)
    return responses


def _event(data: Schema) -> Schema:
    """Return the schema of a server-sent event, whose `data` is a line of JSON with a schema of its own."""
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    members = {
        "id": {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$", "description": "To resume after."},
        "data": text,
    }
    return Schema.model_validate({"type": "object", "properties": members, "required": ["id", "data"]})


def _headers(*, is_read: bool = False, is_list: bool = False, is_limit: bool = False) -> dict[str, Header | Reference]:
    texts = {"X-Request-ID": "The request's id: the caller's own, or a new one."}
    if is_read:
        texts["Runcord-Position"] = (
            "The position of the ledger that the answer is of: it shows all that is up to there."
        )
    if is_list:
        texts["X-Next-Cursor"] = "The cursor of the next page; absent on the last one."
        texts["Link"] = 'The next page, `rel="next"`; absent on the last one.'
    if is_limit:
        texts["Retry-After"] = "In how many seconds to come again."
        texts["X-RateLimit-Limit"] = "How many are taken in the span of the limit."
        texts["X-RateLimit-Remaining"] = "How many of them are left now."
    return {
        name: Header.model_validate({"description": text, "schema": {"type": "string"}}) for name, text in texts.items()
    }
