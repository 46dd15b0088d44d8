"""SQL kept as SQL: the schema, its migrations, and named statements."""

from runcord.sql.blocks import Statements, load
from runcord.sql.migrate import apply_schema, migrate, pending

__all__ = ["Statements", "apply_schema", "load", "migrate", "pending"]
