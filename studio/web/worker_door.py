"""The door of workers on other machines: who knocks is known by a signature in the form of Standard Webhooks
(https://www.standardwebhooks.com): HMAC-SHA256 over "<id>.<timestamp>.<body>", five minutes old at most.

A delivery is a form whose first part, `event`, is the signed body. Nothing after it is read before the signature was
found true, so that a stranger fills no disk.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import jwt
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from studio.catalog import MAX_PICTURES
from studio.database.engine import Database
from studio.errors import InvalidInput, NotFound, SignInNeeded
from studio.services.legs import Workbench
from studio.services.remote_leases import RemoteLeases
from studio.services.remote_work import RemoteWork
from studio.services.worker_reports import WorkerReports
from studio.web.security import MAX_DELIVERY_BYTES, MAX_JSON_BYTES, too_large

LOG = logging.getLogger(__name__)

EVENT_PART = "event"
FILE_PART = "file"
MAX_ID_CHARS = 200
LINK_LIFE_S = 3600
LINK_AUDIENCE = "worker-reference"
ALGORITHM = "HS256"
FORGED = "The report is not signed as a worker of this studio signs."
Verify = Callable[[bytes], None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report whose signature is true: the id it was signed with, its event as JSON, and its files by index."""

    id: str
    event: bytes
    files: dict[int, BinaryIO]


class WorkerDoor:
    """Tells workers from strangers by `secret` ("whsec_" and base64), and reads what they bring."""

    def __init__(self, secret: str, work: RemoteWork) -> None:
        self.work = work
        self._webhook = Webhook(secret)
        # A key of its own, so that a link is no signature of anything else.
        self._link_key = hmac.digest(secret.encode(), LINK_AUDIENCE.encode(), "sha256")

    @asynccontextmanager
    async def report(self, request: Request) -> AsyncIterator[Report]:
        """The report that `request` brings; its files stay for as long as the context lasts.

        Raises SignInNeeded for a signature that is missing, old or wrong; TooLarge and InvalidInput.
        """

        def verify(body: bytes) -> None:
            self._verify(request.headers, body)

        report_id = request.headers.get("webhook-id", "")
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            body = await request.body()
            verify(body)
            yield Report(id=report_id, event=body, files={})
            return
        parser = _SignedForm(request.headers, request.stream(), verify)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise InvalidInput(f"The form cannot be read: {error.message}") from error
        except HTTPException as error:
            raise (too_large(MAX_DELIVERY_BYTES) if error.status_code == 413 else error) from error
        try:
            if parser.event is None:
                raise InvalidInput("The form's first part is the signed event.", field=EVENT_PART)
            yield Report(id=report_id, event=parser.event, files=_files_of(form.multi_items()))
        finally:
            await form.close()

    def link(self, job_id: str, lease_token: str, which: str) -> str:
        """The last part of the address at which the holder of this lease gets a file of its job, for an hour."""
        claims = {
            "sub": job_id,
            "lease": lease_token,
            "which": which,
            "aud": LINK_AUDIENCE,
            "exp": int(time.time()) + LINK_LIFE_S,
        }
        return jwt.encode(claims, self._link_key, ALGORITHM)

    def read_link(self, token: str) -> tuple[str, str, str]:
        """The job, the lease and the file of a link. Raises NotFound for one that was not made here or is over."""
        try:
            claims = jwt.decode(
                token, self._link_key, [ALGORITHM], audience=LINK_AUDIENCE, options={"require": ["sub", "exp", "aud"]}
            )
        except jwt.InvalidTokenError as error:
            raise NotFound("There is no such file.") from error
        return claims["sub"], claims["lease"], claims["which"]

    def _verify(self, headers: Headers, body: bytes) -> None:
        """Raises SignInNeeded."""
        if len(headers.get("webhook-id", "")) > MAX_ID_CHARS:
            raise SignInNeeded(FORGED)
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:  # ValueError: no base64, no UTF-8, no pair of words
            LOG.warning("A worker's report %.80r was refused: %s", headers.get("webhook-id"), error)
            raise SignInNeeded(FORGED) from error


def build_worker_door(secret: SecretStr | None, database: Database, bench: Workbench) -> WorkerDoor | None:
    """The door, if there is a secret by which workers are known."""
    if secret is None:
        return None
    work = RemoteWork(leases=RemoteLeases(database), reports=WorkerReports(database), **bench)
    return WorkerDoor(secret.get_secret_value(), work)


class _SignedForm(MultiPartParser):
    """Reads a form whose first part is an event, which `verify` accepts before anything that follows is kept."""

    def __init__(self, headers: Headers, stream: Any, verify: Verify) -> None:
        super().__init__(headers, stream, max_files=MAX_PICTURES, max_fields=1, max_part_size=MAX_JSON_BYTES)
        self._verify = verify
        self.event: bytes | None = None

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        is_file = self._current_part.file is not None
        if is_file == (self.event is None) or (not is_file and self._current_part.field_name != EVENT_PART):
            raise MultiPartException("Its first part is the signed event, and every other a file.")

    def on_part_end(self) -> None:
        if self.event is None:
            body = bytes(self._current_part.data)
            self._verify(body)
            self.event = body
        super().on_part_end()


def _files_of(items: list[tuple[str, str | UploadFile]]) -> dict[int, BinaryIO]:
    """The files of the parts file0, file1, …"""
    found: dict[int, BinaryIO] = {}
    for name, value in items:
        number = name.removeprefix(FILE_PART)
        if isinstance(value, UploadFile) and number.isdecimal() and len(number) == 1:
            found[int(number)] = value.file
    return found
