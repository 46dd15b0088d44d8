"""The double-claim test: two processes claim at once, and no attempt is given twice, no limit ever exceeded."""

import asyncio
from collections import Counter
from contextlib import ExitStack

import psycopg

from runcord.ledger.mapper import recorded
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.sql import load
from runcord_bench import product
from runcord_bench.process import running_modules
from runcord_bench.report import Check
from runcord_bench.sampling import Effort

LEDGER = load("runcord.sql", "queries/ledger.sql")

PROCESSES = 2
KEYS = 4
MAX_CONCURRENCY = 6
MAX_PER_KEY = 2
WHAT = f"double-claim test: two processes with four workers each, at most {MAX_CONCURRENCY} runs, {MAX_PER_KEY} a key"

_MOST_RUNS = 2_000
_LATEST_SECS = 120.0


def check(dsn: str, effort: Effort) -> Check:
    """Have two processes work off a queue with limits, then compare what they say with the ledger."""
    runs = min(effort.runs // 4, _MOST_RUNS)
    project_id = product.open_project(dsn)
    asyncio.run(_fill(dsn, project_id, runs))
    with ExitStack() as stack:
        processes = stack.enter_context(running_modules("claimer", dsn, project_id, count=PROCESSES))
        for process in processes:
            process.begin()
        answers = [process.read(_LATEST_SECS) for process in processes]
    attempts = Counter(tuple(attempt) for answer in answers for attempt in answer)
    with psycopg.connect(dsn) as conn:
        rows = conn.execute(LEDGER["ledger_events"], {"project_id": project_id, "after": 0, "limit": 10 * runs})
        ledger = [recorded(row) for row in rows]
    return verdict(runs, [len(answer) for answer in answers], attempts, ledger)


async def _fill(dsn: str, project_id: str, runs: int) -> None:
    with product.open_committer(dsn) as committer:
        limits = {"max_concurrency": MAX_CONCURRENCY, "max_concurrency_per_key": MAX_PER_KEY}
        job_id = await product.create_job(committer, project_id, **limits)
        requests = [{"concurrency_key": f"key-{n % KEYS}"} for n in range(runs)]
        await product.trigger(committer, project_id, job_id, requests)


def verdict(runs: int, shares: list[int], attempts: Counter[tuple[str, int]], ledger: list[Recorded[e.Event]]) -> Check:
    """Compare what each process got, and how often each attempt was given out, with the ledger."""
    twice = sum(times - 1 for times in attempts.values())
    most, most_of_a_key, completed = _highest_levels(ledger)
    return Check(
        what=WHAT,
        found=f"{sum(shares):,} attempts of {runs:,} runs given out ({' + '.join(map(str, shares))}), {twice} twice; "
        f"at once at most {most}, of one key {most_of_a_key}",
        passed=twice == 0
        and len(attempts) == completed == runs
        and all(shares)
        # Reached, or the limits were not put to the test.
        and most == MAX_CONCURRENCY
        and most_of_a_key == MAX_PER_KEY,
    )


def _highest_levels(ledger: list[Recorded[e.Event]]) -> tuple[int, int, int]:
    """Return how many runs were at work at once at most, in all and of one key, and how many ended."""
    keys: dict[str, str | None] = {}
    of_key: Counter[str | None] = Counter()
    most = most_of_a_key = completed = 0
    for entry in ledger:
        run_id = entry.stream_id
        match entry.event:
            case e.Triggered(concurrency_key=key):
                keys[run_id] = key
            case e.Dequeued():
                of_key[keys[run_id]] += 1
                most = max(most, sum(of_key.values()))
                most_of_a_key = max(most_of_a_key, of_key[keys[run_id]])
            case e.Completed():
                completed += 1
                of_key[keys[run_id]] -= 1
            case _:
                pass
    return most, most_of_a_key, completed
