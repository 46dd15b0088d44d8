"""The process that rebuilds inline views: `python -m runcord.inline_builder`. See `runcord.projecting.builder`."""

import psycopg
import structlog

from runcord import inline
from runcord.projecting import builder, inline_mover

log = structlog.get_logger(__name__)


def main() -> None:
    """Build what the input says."""
    dsn, project_id, pace = builder.begin()
    try:
        inline_mover.build(dsn, inline.rebuildables(), project_id, pace)
    except psycopg.Error as error:
        log.warning("builder_ends", project_id=project_id, error=str(error).strip())


if __name__ == "__main__":
    main()
