"""Put words where an f-string wants an expression."""


def report(done: int, total: int) -> str:
    return f"{done of total} runs are done"
