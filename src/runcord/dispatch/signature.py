"""Signatures on requests: Standard Webhooks 1.0, symmetric (`v1`, HMAC-SHA256).

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`, with the job's `endpoint_signing_secret`.
"""

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def sign(secret: str | None, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that let a receiver who knows the secret tell that the body is ours, and how old it is.

    Without a secret there is no signature, only what would be signed.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        covered = f"{message_id}.{timestamp}.".encode() + body
        signature = hmac.digest(key_of(secret), covered, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"
    return headers


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with: of `whsec_…` what its base64 stands for, of any other text its own."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret[len(_PREFIX) :], validate=True)
        except binascii.Error:
            pass
    return secret.encode()
