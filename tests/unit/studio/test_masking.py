"""Secrets never reach the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.logs import configure_logging
from studio.masking import masked

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
KEY = "ovz_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6"


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    configure_logging(tmp_path, "INFO")
    yield tmp_path / "studio.log"
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"key {KEY} used", "key ovz_*** used"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "authorization: Basic ***"),
        ("hf_abcdefghijklmnop", "hf_***"),
        (f"session {TOKEN} ended", "session *** ended"),
        ("postgresql+psycopg://studio:s3cr3t@db:5432/studio", "postgresql+psycopg://studio:***@db:5432/studio"),
        ("POST /login username=a@b.example&password=hunter2hunter2&next=/", None),
        ('{"password": "hunter2 hunter2", "email": "a@b.example"}', None),
        ("{'new_password': 'hunter2hunter2'}", None),
        ("STUDIO_SECRET_KEY=hunter2hunter2 STUDIO_PORT=7860", None),
        ("OAUTH_CLIENT_SECRET: hunter2hunter2", None),
        ("AWS_SECRET_ACCESS_KEY='hunter2hunter2'", None),
        ("Cookie: studio=hunter2hunter2; theme=dark", None),
        ("(b'cookie', b'studio=hunter2hunter2; theme=dark')", None),
        ("studio=hunter2hunter2", "studio=***"),
        ("__Host-studio-guest=hunter2hunter2; Path=/", "__Host-studio-guest=***; Path=/"),
        ("__Host-studio-outside=hunter2hunter2; Path=/", "__Host-studio-outside=***; Path=/"),
        ("open http://127.0.0.1:7860/setup/hunter2hunter2", "open http://127.0.0.1:7860/setup/***"),
        ("GET /reset/hunter2hunter2 404", "GET /reset/*** 404"),
    ],
)
def test_secrets_are_masked(said: str, kept: str | None) -> None:
    shown = masked(said)
    assert "hunter2" not in shown
    assert "***" in shown
    if kept is not None:
        assert shown == kept


@pytest.mark.parametrize(
    "said",
    [
        "OurVidz Studio 0.1.0: open http://127.0.0.1:7860",
        "job 019aa1b2-0000-7000-8000-000000000000 failed: out_of_memory",
        "Gradio refused a ticket of lane sdxl: 503 full",
        "The workers of lane wan could not be started; its first job tries again.",
        "GET /api/jobs/019aa1b2-0000-7000-8000-000000000000: not_found: There is no such job.",
        "a prompt with a secret garden and a cookie jar",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert masked(said) == said


def test_neither_arguments_nor_tracebacks_bring_secrets_into_the_log(log_file: Path) -> None:
    log = logging.getLogger("studio.masking_test")
    log.warning("refused %r for %s", {"authorization": f"Bearer {KEY}"}, "somebody")
    try:
        raise ValueError(f"no such key: {KEY}")
    except ValueError:
        log.exception("a key could not be read")
    text = log_file.read_text(encoding="utf-8")
    assert "no such key: ovz_***" in text
    assert "for somebody" in text
    assert KEY not in text
