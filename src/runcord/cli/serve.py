"""`runcord serve`: production, on a PostgreSQL of the operator's."""

from typing import Annotated

import typer

from runcord.errors import ConfigurationError


def serve(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on [env: RUNCORD_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one [env: RUNCORD_PORT].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="Server processes [env: RUNCORD_WORKERS].")
    ] = None,
) -> None:
    """Serve from the PostgreSQL at DATABASE_URL, until SIGTERM or SIGINT.

    Refuses a database that lacks migrations (`runcord migrate`) or that would lose acknowledged data in a crash.
    """
    from runcord.settings import load_settings

    settings = load_settings(host=host, port=port, workers=workers)
    if settings.database_url is None or not settings.database_url.get_secret_value():
        raise ConfigurationError("DATABASE_URL is not set: `runcord serve` needs a PostgreSQL; `runcord dev` does not.")
    dsn = settings.database_url.get_secret_value()
    if settings.bootstrap_api_key is not None and settings.bootstrap_project is None:
        raise ConfigurationError("RUNCORD_BOOTSTRAP_API_KEY is set without RUNCORD_BOOTSTRAP_PROJECT.")

    import os

    import structlog

    from runcord.cli.database import bootstrap, require_servable, warnings
    from runcord.cli.environment import without_effect
    from runcord.http import server
    from runcord.logs import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    log = structlog.stdlib.get_logger(__name__)
    head_secs = settings.request_timeout_secs
    signals = server.StopSignals()
    with signals.handled():
        try:
            require_servable(dsn, settings)
            for doubt in (*without_effect(os.environ), *warnings(dsn)):
                log.warning("configuration_doubtful", doubt=doubt)
            if settings.bootstrap_project is not None:
                key = settings.bootstrap_api_key
                bootstrap(dsn, settings.bootstrap_project, None if key is None else key.get_secret_value())
            with server.listen(settings.host, settings.port) as listening:
                log.info("listening", base_url=server.base_url(settings.host, listening), workers=settings.workers)
                if settings.workers > 1:
                    server.run_workers(listening, settings.workers, head_secs=head_secs)
                else:
                    server.run(server.app_from_environment(), listening, signals, head_secs=head_secs)
        except KeyboardInterrupt:
            pass  # asked to stop before it had started
