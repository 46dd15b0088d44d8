"""Secrets of jobs: what a job signs its calls with.

The ledger never forgets, so no event holds a secret: an event says that one was set, and the secret stands in a
table, written in the command's transaction and sealed.
"""

from collections.abc import Mapping

from runcord.handling.sealing import Sealer
from runcord.job.state import SECRETS
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Transaction
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")


async def job_secret(read: Read, sealer: Sealer, project_id: str, job_id: str, name: str) -> str | None:
    """Return a secret of a job, or None if it has none of that name (one of `SECRETS`).

    Raises:
        ConfigurationError: it was sealed with another installation's secret.
    """
    rows = await read(SQL["job_secret"], {"project_id": project_id, "job_id": job_id, "name": name})
    return sealer.open(project_id, name, bytes(rows[0][0])) if rows else None


def keep(tx: Transaction, job_id: str, sealed: Mapping[str, bytes | None]) -> None:
    """Keep sealed secrets of a job with this transaction's events; None removes one."""
    for name, value in sealed.items():
        if value is None:
            tx.write(SQL["forget_job_secrets"], {"job_id": job_id, "names": [name]})
        else:
            tx.write(SQL["keep_job_secret"], {"job_id": job_id, "name": name, "sealed": value})


def copy(tx: Transaction, job_id: str, copy_id: str) -> None:
    """Give another job the secrets of this one."""
    tx.write(SQL["copy_job_secrets"], {"job_id": job_id, "copy_id": copy_id})


def forget(tx: Transaction, job_id: str) -> None:
    """Remove all secrets of a job."""
    tx.write(SQL["forget_job_secrets"], {"job_id": job_id, "names": list(SECRETS)})
