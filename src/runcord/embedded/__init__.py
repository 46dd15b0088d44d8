"""PostgreSQL without an installation: the server's programs, found, and a supervisor for one server."""

from runcord.embedded.binaries import Binaries, find_binaries
from runcord.embedded.durability import check_durability
from runcord.embedded.supervisor import EmbeddedPostgres

__all__ = ["Binaries", "EmbeddedPostgres", "check_durability", "find_binaries"]
