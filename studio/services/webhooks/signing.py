"""Signatures by the Standard Webhooks specification, and the secrets that make them.

A secret is derived from the studio's own key, whom it is for and a salt: a copy of the database signs nothing, and a
new salt is a new secret. Whoever changes STUDIO_SECRET_KEY changes them all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook as Signer

from studio.database.webhook_tables import JobWebhookSecret, SaltedRow, Webhook

SECRET_PREFIX = "whsec_"  # noqa: S105
SALT_BYTES = 16
BOTH_SIGN_S = 86_400.0
"""How long the secret before the last change signs beside the new one, so that a receiver can be changed over."""


def new_salt() -> str:
    return secrets.token_hex(SALT_BYTES)


def change_salt(row: SaltedRow, now: float) -> None:
    """Give the row another secret; `now` is seconds since 1970."""
    row.previous_salt, row.salt, row.rotated_at = row.salt, new_salt(), now


class Signing:
    """Derives secrets from `key`, the studio's own, and signs with them."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def secret_of(self, webhook: Webhook) -> str:
        """The secret of a webhook, as its person is shown it: "whsec_" and base64."""
        return self._secret(_of_webhook(webhook), webhook.salt)

    def secrets_of(self, webhook: Webhook, now: float) -> list[str]:
        """All that sign for a webhook at `now`, seconds since 1970; the present one first."""
        return [self._secret(_of_webhook(webhook), salt) for salt in _salts(webhook, now)]

    def job_secret(self, user_id: str, row: JobWebhookSecret | None) -> str:
        """The secret of a person's per-job webhooks; `row` is None where it was never changed."""
        return self._secret(_of_jobs(user_id), row.salt if row else "")

    def job_secrets(self, user_id: str, row: JobWebhookSecret | None, now: float) -> list[str]:
        """All that sign for a person's per-job webhooks at `now`."""
        return [self._secret(_of_jobs(user_id), salt) for salt in (_salts(row, now) if row else [""])]

    def _secret(self, owner: str, salt: str) -> str:
        derived = hmac.digest(self._key, f"studio webhook\0{owner}\0{salt}".encode(), hashlib.sha256)
        return SECRET_PREFIX + base64.b64encode(derived).decode()


def headers(message_id: str, body: str, signed_with: Sequence[str], moment: datetime) -> dict[str, str]:
    """What says of a message that it is from here, unchanged and sent at `moment` (UTC)."""
    signatures = [Signer(secret).sign(message_id, moment, body) for secret in signed_with]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.astimezone(UTC).timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _of_webhook(webhook: Webhook) -> str:
    return f"webhook:{webhook.id}"


def _of_jobs(user_id: str) -> str:
    return f"jobs of:{user_id}"


def _salts(row: SaltedRow, now: float) -> list[str]:
    if row.previous_salt is None or row.rotated_at is None or row.rotated_at < now - BOTH_SIGN_S:
        return [row.salt]
    return [row.salt, row.previous_salt]
