"""Kills a worker with -9 while it works."""

import time
from collections import Counter
from collections.abc import Callable

from demo_parts.processes import Workers
from demo_parts.round import MAX_ATTEMPTS, Round
from runcord.client import Client, Run, RunStats

SHARE = 0.3
HEAD_START = 30
"""Which share of the round's runs must have finished before, and how many fewer will do: a small round is over soon."""

SETTLE_SECS = 0.2
"""How long what a frozen worker has sent before may take to be carried out."""


class Crash:
    """Kill one worker in the middle of the round, and replace it.

    The victim is the worker that, by what the server says, has most runs executing. It is frozen and looked at once
    more, and killed if it surely dies with runs in its hands. None of these may be at its last attempt: that would end
    as crashed, rightly, and nobody could take it over.
    """

    def __init__(self, client: Client, round_: Round, workers: Workers, say: Callable[[str], None]) -> None:
        self._client = client
        self._round = round_
        self._workers = workers
        self._say = say
        self._done = False

    def step(self, stats: RunStats) -> None:
        """Do it, if it is time and not done; call it again and again."""
        before = self._round.before.finished
        if self._done or stats.finished - before < SHARE * (stats.total - before) - HEAD_START:
            return
        working = Counter(run.worker_id for run in self._executing() if run.worker_id in self._workers.alive)
        for victim, _ in working.most_common(1):
            assert victim is not None
            self._kill_unless_it_holds_nothing(victim)

    def _kill_unless_it_holds_nothing(self, victim: str) -> None:
        self._workers.freeze(victim)
        held = self._held(victim)
        if not held or any(run.attempt >= MAX_ATTEMPTS for run in held):
            self._workers.thaw(victim)
            return
        pid = self._workers.kill(victim)
        self._say(f"kill -9 {pid}: {victim} dies with {len(held)} runs, whose leases run out in a few seconds.")
        self._say(f"{self._workers.start()} takes its place.")
        self._done = True

    def _held(self, worker_id: str) -> list[Run]:
        """Return the runs that a frozen worker holds, as soon as they stay the same."""
        found: list[Run] | None = None
        while True:
            before, found = found, [run for run in self._executing() if run.worker_id == worker_id]
            if before is not None and {run.id for run in before} == {run.id for run in found}:
                return found
            time.sleep(SETTLE_SECS)

    def _executing(self) -> list[Run]:
        return self._client.runs.list(status="executing", job_id=self._round.job.id, page_size=100).collect()
