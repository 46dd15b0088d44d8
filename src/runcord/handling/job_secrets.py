"""Secrets of jobs: what a job signs its calls with.

The ledger never forgets, so no event holds a secret: an event says that one was set, and the secret stands in a
table, written in the command's transaction and sealed with AES-256-GCM under a key that is derived (HKDF, RFC 5869)
from the installation's secret. What was sealed for one project or name cannot be opened as another's.
"""

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runcord.errors import ConfigurationError
from runcord.job.state import SECRETS
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Transaction
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")

_NONCE = 12


class Sealer:
    """Seals secrets and opens them again, with a key made from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"runcord job secrets").derive(secret))

    def seal(self, project_id: str, name: str, value: str) -> bytes:
        """Return what is kept of a secret: a random nonce, and the sealed text."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value.encode(), _bound_to(project_id, name))

    def open(self, project_id: str, name: str, sealed: bytes) -> str:
        """Return the secret.

        Raises:
            ConfigurationError: it was sealed with another installation's secret, or was changed.
        """
        try:
            text = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(project_id, name))
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"the {name} of a job cannot be opened: it was sealed under another RUNCORD_SECRET_KEY; "
                "set that one again, or give the job its secret anew"
            ) from error
        return text.decode()


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


def _bound_to(project_id: str, name: str) -> bytes:
    return f"{project_id}\n{name}".encode()
