from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from studio.database.webhook_tables import JobWebhookSecret, Webhook
from studio.services.webhooks.signing import BOTH_SIGN_S, Signing, change_salt, headers

SIGNING = Signing("the studio's own key")
BODY = '{"type":"job.completed","data":{"prompt":"ein Häuschen"}}'


def a_webhook(**columns: object) -> Webhook:
    return Webhook(**{"id": "hook", "salt": "salt", "previous_salt": None, "rotated_at": None, **columns})


def test_the_signature_is_the_specifications():
    secret = SIGNING.secret_of(a_webhook())
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent = headers("message", BODY, [secret], moment)

    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    by_hand = hmac.digest(key, f"message.{int(moment.timestamp())}.{BODY}".encode(), hashlib.sha256)
    assert sent == {
        "webhook-id": "message",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": "v1," + base64.b64encode(by_hand).decode(),
    }


def test_the_librarys_verifier_takes_it_and_nothing_that_was_changed():
    secret = SIGNING.secret_of(a_webhook())
    now = datetime.now(UTC)
    sent = headers("message", BODY, [secret], now)

    assert Verifier(secret).verify(BODY, sent)["type"] == "job.completed"
    late = headers("message", BODY, [secret], now - timedelta(minutes=6))
    for body, changed in ((BODY + " ", sent), (BODY, {**sent, "webhook-id": "other"}), (BODY, late)):
        with pytest.raises(WebhookVerificationError):
            Verifier(secret).verify(body, changed)


def test_every_webhook_salt_person_and_studio_has_a_secret_of_its_own():
    row = JobWebhookSecret(user_id="ann", salt="salt", previous_salt="", rotated_at=1.0)
    secrets = {
        SIGNING.secret_of(a_webhook()),
        SIGNING.secret_of(a_webhook(id="other")),
        SIGNING.secret_of(a_webhook(salt="other")),
        Signing("another key").secret_of(a_webhook()),
        SIGNING.job_secret("ann", None),
        SIGNING.job_secret("ben", None),
        SIGNING.job_secret("hook", None),
        SIGNING.job_secret("ann", row),
    }
    assert len(secrets) == 8


def test_after_a_change_both_sign_for_a_day():
    hook = a_webhook()
    old = SIGNING.secret_of(hook)
    change_salt(hook, 1000.0)
    new = SIGNING.secret_of(hook)

    assert SIGNING.secrets_of(hook, 1000.0) == [new, old]
    assert SIGNING.secrets_of(hook, 1001.0 + BOTH_SIGN_S) == [new]
    sent = headers("message", BODY, [new, old], datetime.now(UTC))
    for secret in (old, new):
        Verifier(secret).verify(BODY, sent)


def test_the_first_change_of_the_secret_of_orders_keeps_the_one_that_had_no_salt():
    first = SIGNING.job_secret("ann", None)
    row = JobWebhookSecret(user_id="ann", salt="", previous_salt=None, rotated_at=None)
    change_salt(row, 1000.0)

    assert SIGNING.job_secrets("ann", row, 1001.0) == [SIGNING.job_secret("ann", row), first]
    assert SIGNING.job_secrets("ann", None, 1001.0) == [first]
