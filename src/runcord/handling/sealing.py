"""Sealing: how secrets are kept that have to be told again.

Sealed with AES-256-GCM under a key that is derived (HKDF, RFC 5869) from the installation's secret. What was sealed for
one project or name cannot be opened as another's.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runcord.errors import ConfigurationError

_NONCE = 12


def derived_secret(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes made from the installation's secret for one purpose, which tell nothing of those for another."""
    return HKDF(SHA256(), 32, salt=None, info=f"runcord {purpose}".encode()).derive(secret)


class Sealer:
    """Seals secrets and opens them again, with a key made from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(derived_secret(secret, "job secrets"))

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
                f"the {name} cannot be opened: it was sealed under another RUNCORD_SECRET_KEY; "
                "set that one again, or give the secret anew"
            ) from error
        return text.decode()


def _bound_to(project_id: str, name: str) -> bytes:
    return f"{project_id}\n{name}".encode()
