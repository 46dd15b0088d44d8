"""Sharing a process's request slots among jobs.

A job may have as many requests under way as there are slots left (a dynamic threshold): one job alone takes half of
them, two take a third each, and a job that comes later always finds room, however long the others' requests take.
Among those that may, the job with the fewest is served first.
"""

import heapq
from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def shares(under_way: Mapping[K, int], free: int) -> dict[K, int]:
    """Return how many more requests each of the jobs may begin, given how many each has `under_way`.

    The jobs come in the order in which they are served when they have equally many.
    """
    given: dict[K, int] = dict.fromkeys(under_way, 0)
    line = [(count, place, job) for place, (job, count) in enumerate(under_way.items())]
    heapq.heapify(line)
    while line:
        count, place, job = heapq.heappop(line)
        if count >= free:
            break  # the others have as many, at least
        given[job] += 1
        free -= 1
        heapq.heappush(line, (count + 1, place, job))
    return {job: count for job, count in given.items() if count}
