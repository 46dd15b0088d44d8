"""Real runs, jobs and keys for requests to name: made anew for each operation, so that none spoils another's."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import httpx2

Make = Callable[[], str]

_MOST_WAIT_SECS = 0.01


def _is_stream(operation: str) -> bool:
    return operation.startswith("GET ") and ("/stream" in operation or "/subscribe" in operation)


class Stock:
    """Makes what requests name, with a client of its own."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
        self._numbers = itertools.count(1)
        self._calls: dict[str, Iterator[int]] = defaultdict(itertools.count)
        self._of = cache(self._new)

    def for_path(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return real values for parameters of a path; none in every fourth request of an operation."""
        number = next(self._calls[operation])
        # The stream of a run that goes on never ends, and nobody waits for that.
        if number % 4 == 3 and not _is_stream(operation):
            return {}
        found = {}
        for name in parameters.keys() & self._makers(operation).keys():
            values = self._of(operation, name)
            found[name] = values[number % len(values)]
        return found

    def for_body(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return members of a body that have to name something real, or would make the server wait."""
        found: dict[str, Any] = {}
        if "wait_secs" in body:
            found["wait_secs"] = min(body["wait_secs"], _MOST_WAIT_SECS)
        if body.get("jobs") and all(isinstance(job, str) for job in body["jobs"]):
            found["jobs"] = self._of(operation, "job_id")
        return found

    # --- making -------------------------------------------------------------------------------------------

    def _new(self, operation: str, name: str) -> list[str]:
        return [make() for make in self._makers(operation)[name]]

    def _makers(self, operation: str) -> Mapping[str, list[Make]]:
        runs = [self._completed, self._executing, self._queued, self._dead, self._waiting, self._paused]
        return {
            "run_id": runs[:1] if _is_stream(operation) else runs,
            "job_id": [self._job],
            "key_id": [self._key],
            "event_key": [self._heard if _is_stream(operation) else self._event],
        }

    def _post(self, path: str, body: Any = None) -> Any:
        answer = self._http.post(path, json={} if body is None else body)
        answer.raise_for_status()
        return answer.json()

    def _job(self, **settings: Any) -> str:
        slug = f"fuzz-{next(self._numbers)}"
        return self._post("/v1/jobs", {"name": slug, "slug": slug, **settings})["id"]

    def _queued(self, **settings: Any) -> str:
        return self._post(f"/v1/jobs/{self._job(**settings)}/trigger", {"payload": {"n": 1}})["id"]

    def _executing(self, **settings: Any) -> str:
        run_id = self._queued(**settings)
        body = {"worker_id": "fuzz", "run_id": run_id, "start": True, "lease_secs": 3600}
        assert self._post("/v1/runs/dequeue", body)["data"]
        return run_id

    def _completed(self) -> str:
        run_id = self._executing()
        self._post(f"/sdk/v1/runs/{run_id}/complete", {"result": 1})
        return run_id

    def _dead(self) -> str:
        run_id = self._executing(max_attempts=1)
        self._post(f"/sdk/v1/runs/{run_id}/fail", {"error": "boom"})
        return run_id

    def _paused(self) -> str:
        run_id = self._executing()
        self._post(f"/v1/runs/{run_id}/pause")
        return run_id

    def _waiting(self) -> str:
        run_id = self._executing()
        self._post(f"/sdk/v1/runs/{run_id}/wait")
        return run_id

    def _event(self) -> str:
        key = f"event-{next(self._numbers)}"
        self._post(f"/sdk/v1/runs/{self._executing()}/wait-for-event", {"event_key": key})
        return key

    def _heard(self) -> str:
        key = self._event()
        self._post(f"/v1/events/{key}/send")
        return key

    def _key(self) -> str:
        return self._post("/v1/api-keys", {"name": "fuzz", "scopes": ["runs:read"]})["id"]
