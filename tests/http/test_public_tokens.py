"""Public tokens over HTTP: who makes them, what they open, and how they end."""

import base64
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import psycopg
import pytest
from tests.http.conftest import PROJECT, Api, NewApi

from runcord.clock import unix_now
from runcord.http.cors import ALLOWED
from runcord.http.key_administration import NewKey, create_key
from runcord.http.public_tokens import AUDIENCE, ISSUER, MAX_BYTES

CLAIMS = "/api/v1/auth/jwt/claims"
MINT = "/api/v1/auth/public-tokens"


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(secret: str, scopes: list[str], *, algorithm: str = "HS256", **changes: Any) -> str:
    """Return a token as a client signs one."""
    now = unix_now()
    claims = {
        "sub": PROJECT,
        "pub": True,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "scopes": scopes,
        "iat": now,
        "exp": now + 900,
    }
    given = {name: value for name, value in {**claims, "scopes": scopes, **changes}.items() if value is not None}
    return jwt.encode(given, secret, algorithm=algorithm)


NewOf = Callable[..., NewKey]


@pytest.fixture
def new_of(api: Api, dsn: str) -> NewOf:
    """Makes keys of forms: `new_of("trigger")`."""

    def new(form: Any = "trigger", **options: Any) -> NewKey:
        return create_key(dsn, PROJECT, "test", form=form, environment="dev", **options)

    return new


@pytest.fixture
def run(api: Api) -> dict[str, Any]:
    """A run of the job `parse` with a payload and tags."""
    api.new_job()
    return api.new_run(payload={"secret": 1}, tags={"user": "1", "vip": ""}, metadata={"m": "n"})


# --- keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["trigger", "trigger-sk"])
def test_a_key_of_a_form_is_made_works_and_is_rotated_to_its_like(api: Api, form: str) -> None:
    made = api.post("/v1/api-keys", {"name": "app", "form": form, "environment": "stg"}).json()
    begins = {"trigger": "tr_stg_", "trigger-sk": "tr_stg_sk_"}[form]
    assert made["key"].startswith(begins) and (made["form"], made["environment"]) == (form, "stg")
    assert api.speaking_as(made["key"]).get("/v1/runs").status_code == 200
    rotated = api.post(f"/v1/api-keys/{made['id']}/rotate").json()
    assert rotated["key"].startswith(begins) and rotated["key"] != made["key"]
    assert api.get(f"/v1/api-keys/{rotated['new_key_id']}").json()["form"] == form


def test_a_form_that_is_none_and_an_environment_without_a_form_are_refused(api: Api) -> None:
    for body in ({"form": "other"}, {"environment": "dev"}, {"form": "trigger", "environment": "moon"}):
        assert api.post("/v1/api-keys", {"name": "app", **body}).status_code == 400
    assert api.post("/v1/api-keys", {"name": "app", "form": "trigger-pk", "scopes": ["*"]}).status_code == 400


def test_keys_that_clients_sign_with_are_in_no_table_as_they_are(api: Api, dsn: str) -> None:
    made = [api.post("/v1/api-keys", {"name": "app", "form": form}).json() for form in ("trigger", "trigger-sk")]
    made += [api.post("/v1/api-keys", {"name": "app", "form": form}).json() for form in ("trigger-pk", None) if form]
    made.append(api.post("/v1/api-keys", {"name": "app"}).json())
    with psycopg.connect(dsn) as conn:
        tables = [row[0] for row in conn.execute("select tablename from pg_tables where schemaname = 'public'")]
        everything = "\n".join(
            row[0] for table in tables for row in conn.execute(f'select to_jsonb(t)::text from "{table}" t'.encode())
        )
        sealed = dict(conn.execute("select key_id, sealed is not null from api_key_hashes"))
    assert [sealed[key["id"]] for key in made] == [True, True, False, False]
    for key in made:
        text = key["key"].encode()
        for form in (text.decode(), text[12:].hex(), base64.b64encode(text).decode()[:30]):
            assert form not in everything
    assert made[0]["id"] in everything


def test_a_revoked_key_is_not_kept(api: Api, dsn: str, new_of: NewOf) -> None:
    key = new_of()
    api.delete(f"/v1/api-keys/{key.key_id}")
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select sealed from api_key_hashes where key_id = %s", (key.key_id,)).fetchone()
    assert row == (None,)


# --- making tokens ------------------------------------------------------------------------------------


def test_a_client_signs_a_token_with_its_key_and_the_claims(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of()
    answer = api.speaking_as(key.secret).post(CLAIMS)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    claims = answer.json()
    assert (claims["sub"], claims["pub"]) == (PROJECT, True)
    token = signed(key.secret, [f"read:runs:{run['id']}"], **claims)
    assert api.speaking_as(token).get(f"/v1/runs/{run['id']}").json()["payload"] == {"secret": 1}


def test_a_key_of_another_form_signs_as_well_once_it_has_asked_for_claims(api: Api, run: Any) -> None:
    token = signed(api.secret, ["read:runs"], sub=api.project_id)
    assert api.speaking_as(token).get("/v1/runs").status_code == 401
    assert api.post(CLAIMS).status_code == 200
    assert api.speaking_as(token).get("/v1/runs").status_code == 200


@pytest.mark.parametrize("form", ["trigger", "trigger-sk", None])
def test_the_server_signs_tokens_for_keys_of_every_form(api: Api, new_of: NewOf, run: Any, form: Any) -> None:
    secret = create = new_of(form).secret if form else api.secret
    scopes = [f"read:runs:{run['id']}"]
    for path, body, member in ((MINT, {"scopes": scopes}, 200), ("/v1/public-tokens", {"scopes": scopes}, 201)):
        answer = api.speaking_as(create).post(path, body)
        assert answer.status_code == member and answer.headers["cache-control"] == "no-store"
        token = answer.json()["token"]
        claims = claims_of(token)
        assert (claims["sub"], claims["pub"], claims["scopes"]) == (PROJECT, True, scopes)
        assert claims["exp"] - claims["iat"] == 900
        assert api.speaking_as(token).get(f"/v1/runs/{run['id']}").status_code == 200
        assert secret not in token


def test_tokens_make_no_tokens(api: Api, new_of: NewOf) -> None:
    token = signed(new_of().secret, ["admin"])
    public = new_of("trigger-pk", scopes=["runs:read"]).secret
    for credential in (token, public):
        for path in (CLAIMS, MINT, "/v1/public-tokens"):
            answer = api.speaking_as(credential).post(path, {"scopes": ["read:runs"]})
            assert answer.status_code == 403, answer.text


LIVES = {None: 900, "1h": 3600, "15m": 900, "7 days": 604800, "90 Seconds": 90, "1.5h": 5400}


def test_a_token_lives_as_long_as_was_asked_for(api: Api) -> None:
    for given, secs in LIVES.items():
        answer = api.post(MINT, {"scopes": ["read:runs"], "expirationTime": given, "oneTimeUse": True, "more": 1})
        claims = claims_of(answer.json()["token"])
        assert (claims["exp"] - claims["iat"], claims["otu"]) == (secs, True)


def test_a_life_that_makes_no_sense_or_is_too_long_is_refused(api: Api) -> None:
    for given in ("", "soon", "1 fortnight", "-1h", 5, 1e300, True, [], "0s", "31d", "1h ago"):
        answer = api.post(MINT, {"scopes": ["read:runs"], "expirationTime": given})
        assert answer.status_code == 400 and "expirationTime" in answer.json()["error"], given


def test_a_token_that_makes_no_sense_is_refused(api: Api) -> None:
    for body in (
        {},
        {"scopes": []},
        {"scopes": ["red:runs"]},
        {"scopes": ["read::x"]},
        {"scopes": ["read:runs"], "expires_in_secs": 0},
        {"scopes": ["read:runs"], "expires_in_secs": 31 * 86400},
        {"scopes": ["read:runs"], "surprise": 1},
    ):
        assert api.post("/v1/public-tokens", body).status_code == 400, body


# --- what they open -----------------------------------------------------------------------------------


READS_OF_A_RUN = {
    "read:runs": True,
    "read:runs:{id}": True,
    "read:runs:run_other": False,
    "read:tasks:parse": True,
    "read:tasks:other": False,
    "read:tags:user:1": True,
    "read:tags:vip": True,
    "read:tags:user": False,
    "read:batch:batch_x": False,
    "write:runs:{id}": False,
    "": False,
}


def test_a_run_is_read_by_whoever_has_a_scope_about_it(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of()
    for scope, opens in READS_OF_A_RUN.items():
        token = signed(key.secret, [scope.format(id=run["id"])])
        answer = api.speaking_as(token).get(f"/v1/runs/{run['id']}")
        assert answer.status_code == (200 if opens else 403), scope
        assert opens or answer.json()["code"] == "scope_missing"
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_run_that_is_not_there_is_told_to_those_alone_who_might_read_it(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of()
    for scopes, status in ((["read:runs"], 404), (["read:runs:run_x"], 404), (["read:tasks:parse"], 403)):
        assert api.speaking_as(signed(key.secret, scopes)).get("/v1/runs/run_x").status_code == status


LISTS = [
    ("read:runs", "", True),
    ("read:tasks", "", True),
    ("read:tasks:parse", "", False),
    ("read:tasks:parse", "?job_id={job}", True),
    ("read:tasks:other", "?job_id={job}", False),
    ("read:tasks:parse", "?job_id=nowhere", False),
    ("read:tags:user:1", "?tags[user]=1", True),
    ("read:tags:vip", "?tags[vip]=", True),
    ("read:tags:user:1", "?tag_key=user", False),
    ("read:tags:user:1", "", False),
    ("read:batch:batch_1", "?batch_id=batch_1", True),
    ("read:batch:batch_1", "?batch_id=batch_2", False),
    ("read:runs:run_x", "", False),
]


def test_runs_are_listed_by_filters_that_a_scope_is_about(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of()
    for scope, query, opens in LISTS:
        answer = api.speaking_as(signed(key.secret, [scope])).get("/v1/runs" + query.format(job=run["job_id"]))
        assert answer.status_code == (200 if opens else 403), (scope, query, answer.text)


def test_what_a_token_may_not_see_is_left_out(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of()
    token = signed(key.secret, ["read:runs"], realtime={"skipColumns": ["payload", "runTags"]})
    caller = api.speaking_as(token)
    (listed,) = caller.get("/v1/runs").json()
    one = f"/v1/runs/{run['id']}"
    for seen in (listed, caller.get(one).json(), caller.get(f"{one}?version=1").json()):
        assert "payload" not in seen and "tags" not in seen and seen["metadata"] == {"m": "n"}
    assert caller.get("/v1/runs?position=1").status_code == 200
    # What shows everything is refused as a whole, and so is a filter that would tell.
    for path in (f"{one}/stream", '/v1/runs?payload_contains={"secret":1}', "/v1/runs?tags[user]=1"):
        assert caller.get(path).status_code == 403


def test_a_public_key_reads_runs_without_payloads_and_outputs(api: Api, new_of: NewOf) -> None:
    claim = api.working()
    run_id = claim["run"]["id"]
    api.speaking_as(claim["run_token"]).post(f"/sdk/v1/runs/{run_id}/complete", {"result": {"secret": 2}})
    assert api.get(f"/v1/runs/{run_id}").json()["result"] == {"secret": 2}
    public = api.speaking_as(new_of("trigger-pk", scopes=["runs:read"]).secret)
    seen = public.get(f"/v1/runs/{run_id}").json()
    assert seen["status"] == "completed" and "result" not in seen and "payload" not in seen
    assert "secret" not in public.get("/v1/runs").text
    for method, path in (("GET", f"/v1/runs/{run_id}/history"), ("GET", "/v1/jobs"), ("DELETE", f"/v1/runs/{run_id}")):
        assert public.request(method, path).status_code == 403


def test_a_token_may_do_no_more_than_its_key(api: Api, new_of: NewOf, run: Any) -> None:
    key = new_of(scopes=["jobs:read"])
    answer = api.speaking_as(signed(key.secret, ["admin"])).get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# --- hostile tokens -----------------------------------------------------------------------------------


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in (header, claims))
    return ".".join((*parts, ""))


def hostile(secret: str, other: str) -> dict[str, str]:
    good = signed(secret, ["read:runs"])
    head, body, signature = good.split(".")
    claims = claims_of(good)
    more = base64.urlsafe_b64encode(orjson.dumps({**claims, "scopes": ["admin"]})).rstrip(b"=").decode()
    return {
        "algorithm none": unsigned(claims, {"alg": "none", "typ": "JWT"}),
        "algorithm NONE": unsigned(claims, {"alg": "NONE"}),
        "another algorithm": signed(secret, ["read:runs"], algorithm="HS384"),
        "no signature": f"{head}.{body}.",
        "truncated": good[:-4],
        "without its end": f"{head}.{body}",
        "changed": f"{head}.{more}.{signature}",
        "signed with another key": signed("tr_dev_" + "x" * 48, ["read:runs"]),
        "signed with nothing": signed("x" * 32, ["read:runs"]),
        "signed by another project": signed(other, ["read:runs"]),
        "of another project": signed(secret, ["read:runs"], sub="proj_other"),
        "of no project": signed(secret, ["read:runs"], sub=None),
        "of a project with NUL": signed(secret, ["read:runs"], sub="a\0b"),
        "of a project that is a number": unsigned({**claims, "sub": 1}, {"alg": "HS256"}),
        "not public": signed(secret, ["read:runs"], pub=None),
        "nearly public": signed(secret, ["read:runs"], pub="true"),
        "without an end": signed(secret, ["read:runs"], exp=None),
        "with an end that is no time": signed(secret, ["read:runs"], exp="soon"),
        "of another issuer": signed(secret, ["read:runs"], iss="https://example.com"),
        "for another audience": signed(secret, ["read:runs"], aud="https://example.com"),
        "in the name of a key, not signed by us": signed(secret, ["read:runs"], key="key_x"),
        "too long": signed(secret, ["read:runs:" + "x" * MAX_BYTES]),
        "header of another kind": unsigned(claims, {"alg": ["HS256"]}),
        "no JSON": "eyJhbGciOiJIUzI1NiJ9.e30x.AAAA",
        "nothing": "eyJ",
        "dots": "eyJ....",
    }


def test_a_token_that_nobody_has_signed_for_this_project_opens_nothing(
    api: Api, new_of: NewOf, new_api: NewApi, dsn: str
) -> None:
    new_api("proj_other")
    key, other = new_of(), create_key(dsn, "proj_other", "test", form="trigger")
    assert api.speaking_as(signed(key.secret, ["read:runs"])).get("/v1/runs").status_code == 200
    for case, token in hostile(key.secret, other.secret).items():
        answer = api.speaking_as(token).get("/v1/runs")
        assert answer.status_code == 401, (case, answer.text)
        assert key.secret not in answer.text


def test_an_expired_token_is_told_so(api: Api, new_of: NewOf) -> None:
    token = signed(new_of().secret, ["read:runs"], exp=unix_now() - 1)
    answer = api.speaking_as(token).get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert "expired" in answer.json()["error"]


def test_a_token_of_another_project_shows_that_project_alone(api: Api, new_api: NewApi, dsn: str, run: Any) -> None:
    new_api("proj_other")
    other = create_key(dsn, "proj_other", "test", form="trigger")
    stranger = api.speaking_as(signed(other.secret, ["admin"], sub="proj_other"))
    assert stranger.get("/v1/runs").json() == []
    assert stranger.get(f"/v1/runs/{run['id']}").status_code == 404


# --- how they end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["client", "server"])
def test_tokens_live_through_the_grace_of_their_key_and_no_longer(api: Api, new_of: NewOf, who: str) -> None:
    key = new_of()
    caller = api.speaking_as(key.secret)

    def token() -> str:
        if who == "client":
            return signed(key.secret, ["read:runs"], jti=str(unix_now()))
        return caller.post(MINT, {"scopes": ["read:runs"]}).json()["token"]

    before = token()
    rotated = api.post(f"/v1/api-keys/{key.key_id}/rotate", {"grace_period_minutes": 60}).json()
    assert api.speaking_as(before).get("/v1/runs").status_code == 200
    assert api.speaking_as(token()).get("/v1/runs").status_code == 200
    assert api.speaking_as(signed(rotated["key"], ["read:runs"])).get("/v1/runs").status_code == 200
    api.delete(f"/v1/api-keys/{key.key_id}")
    assert api.speaking_as(before).get("/v1/runs").status_code == 401
    assert api.speaking_as(signed(rotated["key"], ["read:runs"])).get("/v1/runs").status_code == 200


def test_a_rotation_without_grace_ends_the_tokens_too(api: Api, new_of: NewOf) -> None:
    key = new_of()
    token = signed(key.secret, ["read:runs"])
    assert api.speaking_as(token).get("/v1/runs").status_code == 200
    api.post(f"/v1/api-keys/{key.key_id}/rotate", {"grace_period_minutes": 0})
    assert api.speaking_as(token).get("/v1/runs").status_code == 401
    assert api.speaking_as(signed(key.secret, ["read:runs"], jti="fresh")).get("/v1/runs").status_code == 401


# --- browsers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CLAIMS, MINT, "/v1/runs", "/v1/runs/run_x"])
def test_a_browser_is_told_that_it_may_call(api: Api, path: str) -> None:
    answer = api.client.request(
        "OPTIONS",
        path,
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,x-trigger-new-one",
        },
    )
    assert answer.status_code == 204 and answer.content == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "trigger-version", "x-trigger-api-version", "last-event-id", "x-trigger-new-one"} <= {
        *allowed
    }
    assert "OPTIONS" in answer.headers["access-control-allow-methods"]


def test_pages_with_the_hooks_may_send_what_these_send(api: Api) -> None:
    sent = (
        "authorization,content-type,last-event-id,timeout-seconds,trigger-version,x-trigger-api-version,x-trigger-branch,"
        "x-trigger-client,x-trigger-electric-version,x-trigger-realtime-streams-version,"
        "x-trigger-request-idempotency-key,x-trigger-source,x-trigger-stream-start"
    )
    for method, path in (
        ("POST", "/api/v1/tasks/a%2Fb/trigger"),
        ("GET", "/api/v3/runs/run_x"),
        ("GET", "/api/v1/packets/trigger/packet_x/payload.json"),
        ("GET", "/realtime/v1/runs/run_x"),
        ("GET", "/realtime/v1/runs"),
        ("GET", "/realtime/v1/batches/batch_x"),
        ("GET", "/realtime/v1/streams/run_x/tokens"),
        ("POST", "/realtime/v1/streams/run_x/input/approval"),
    ):
        asking = {"Origin": "https://app.example.com", "Access-Control-Request-Method": method}
        answer = api.client.request("OPTIONS", path, headers={**asking, "Access-Control-Request-Headers": sent})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*"), path
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert {*sent.split(",")} <= {*answer.headers["access-control-allow-headers"].split(", ")}
        assert {*sent.split(",")} <= {*ALLOWED}, "they need not be asked for to be allowed"


def test_refusals_can_be_read_by_browsers_too(api: Api) -> None:
    for credential, path, status in (("x", "/v1/runs", 401), ("eyJ", "/v1/runs", 401), ("x", CLAIMS, 405)):
        answer = api.speaking_as(credential).get(path)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")
        assert "x-trigger-jwt" in answer.headers["access-control-expose-headers"]


def test_what_tokens_do_not_open_is_not_for_browsers(api: Api) -> None:
    answer = api.client.request("OPTIONS", "/v1/jobs", headers={"Access-Control-Request-Method": "GET"})
    assert answer.status_code == 405 and "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in api.get("/v1/jobs").headers


def test_trigger_devs_clients_are_refused_in_their_way(api: Api) -> None:
    answer = api.speaking_as("tr_dev_unknown").post(MINT, {"scopes": ["read:runs"]})
    assert answer.status_code == 401
    assert isinstance(answer.json()["error"], str) and answer.json()["code"] == "authentication_required"
    assert api.post(MINT, {}).json()["error"].startswith("the body is not valid: scopes")


def test_a_token_of_a_key_that_is_a_moment_old_is_good(api: Api, new_of: NewOf) -> None:
    for _ in range(3):  # the one before has made the server ask which keys there are
        assert api.speaking_as(signed(new_of().secret, ["read:runs"])).get("/v1/runs").status_code == 200
