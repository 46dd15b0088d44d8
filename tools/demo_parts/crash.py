"""Kills a worker with -9 while it works, and sees that it held runs when it died."""

from collections import Counter
from collections.abc import Callable

from demo_parts.processes import Workers
from demo_parts.round import Round
from runcord.client import Client, Run, RunStats

SHARE = 0.3
"""The share of the round's runs that must have finished before."""


class Crash:
    """Kill one worker in the middle of the round, replace it, and look what it has left behind.

    Victims are chosen by what the server says: the worker with the most runs executing. Should its last report still
    have arrived, so that it died without holding anything, another one follows.
    """

    def __init__(self, client: Client, round_: Round, workers: Workers, say: Callable[[str], None]) -> None:
        self._client = client
        self._round = round_
        self._workers = workers
        self._say = say
        self._victim: str | None = None
        self.done = False

    def step(self, stats: RunStats) -> None:
        """Do what is next, if it is time; call it again and again."""
        if self.done:
            return
        if self._victim is not None:
            self._look()
        elif _new_finished(stats, self._round) >= SHARE * (stats.total - self._round.before.finished):
            self._kill()

    def _kill(self) -> None:
        holding = Counter(
            run.worker_id
            for run in self._executing()
            if run.worker_id is not None and run.worker_id in self._workers.alive
        )
        if not holding:
            return
        [(victim, count)] = holding.most_common(1)
        pid = self._workers.kill(victim)
        replacement = self._workers.start()
        self._say(f"kill -9 {pid}: {victim} was executing {count} runs; {replacement} takes its place.")
        self._victim = victim

    def _look(self) -> None:
        """The dead report nothing more: what still executes in its name waits for its lease to run out."""
        held = [run for run in self._executing() if run.worker_id == self._victim]
        if held:
            self._say(f"{self._victim} died with {len(held)} runs; their leases run out in a few seconds.")
            self.done = True
        self._victim = None

    def _executing(self) -> list[Run]:
        return self._client.runs.list(status="executing", job_id=self._round.job.id, page_size=100).collect()


def _new_finished(stats: RunStats, round_: Round) -> int:
    return stats.finished - round_.before.finished
