"""The key that signs sessions and links: as set, or made once and kept in the data folder."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path

FILE_NAME = "secret.key"
KEY_BYTES = 32
WEBHOOK_PREFIX = "whsec_"
MIN_WEBHOOK_BYTES = 24
"""What the specification of Standard Webhooks asks for."""


def secret_key(data_dir: Path) -> str:
    """The key in `data_dir`, made there if there is none, readable by its owner alone. Raises OSError.

    Of processes that start at once, the first makes it and all others read that one.
    """
    path = data_dir / FILE_NAME
    with suppress(FileExistsError):
        _make(path)
    return path.read_text(encoding="ascii").strip()


def is_webhook_secret(text: str) -> bool:
    """Whether `text` is a secret as Standard Webhooks writes one, and long enough to hold: whsec_ and base64."""
    prefix, encoded = text[: len(WEBHOOK_PREFIX)], text[len(WEBHOOK_PREFIX) :]
    try:
        return prefix == WEBHOOK_PREFIX and len(base64.b64decode(encoded, validate=True)) >= MIN_WEBHOOK_BYTES
    except ValueError:
        return False


def _make(path: Path) -> None:
    """Write a new key under another name first: nobody may read half a key. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES))
        os.link(draft, path)
    finally:
        draft.unlink()
