"""Write numbers with their units."""

TIMEOUT = 30s
LIMIT = 64_000_
