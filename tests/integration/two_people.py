"""Ann, who has one of everything, and Ben, who tries to get at it."""

from __future__ import annotations

import io
import json
import secrets
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image

from tests.integration.people import PASSWORD, make_admin
from tests.integration.small_studio import RETRY_AFTER_S, ServedStudio
from tests.integration.walked_routes import Step

ENDED = {"completed", "failed", "cancelled"}
SECRET_WORD = "lighthouse"
"""In every prompt and name of Ann's, and in nothing of anybody else's."""


@dataclass(frozen=True, kw_only=True)
class TwoPeople:
    """The clients of both and of nobody, what Ann has by name, and what Ben has."""

    served: ServedStudio
    ann: httpx.Client
    ben: httpx.Client
    nobody: httpx.Client
    anns: dict[str, str]
    bens: dict[str, str]

    def ask(self, client: httpx.Client, step: Step, things: dict[str, str]) -> tuple[int, str]:
        """Status and text of the answer to `step`, with `things` in the place of the names in braces."""
        content: dict[str, Any] = {"headers": step.headers}
        if step.body is not None:
            content["json"] = filled(step.body, things)
        if step.form is not None:
            content["data"] = filled(step.form, things)
        pieces: list[bytes] = []
        with client.stream(step.method, filled(step.address, things), **content) as answer:
            try:
                pieces.extend(answer.iter_bytes())
            except httpx.RemoteProtocolError:
                pieces.append(b"(broken off)")  # Gradio's way to end a stream that there is not
        body = b"".join(pieces)
        if answer.headers.get("content-type") == "application/zip":
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                body = b"".join(name.encode() + archive.read(name) for name in archive.namelist())
        return answer.status_code, answer.headers.get("location", "") + body.decode(errors="replace")

    @property
    def marks(self) -> list[str]:
        """What only somebody who sees something of Ann's can know."""
        return [*self.anns.values(), SECRET_WORD, "ann@example.org"]

    def whole_of_ann(self) -> dict[str, Any]:
        """All that Ann sees of her own that does not move by itself."""
        jobs = self.ann.get("/api/jobs?limit=200").json()["items"]
        return {
            "jobs": [(job["id"], job["cancel_requested"], job["attempt"]) for job in jobs],
            "assets": self.ann.get("/api/assets?limit=200").json(),
            "trash": self.ann.get("/api/assets?limit=200&trashed=true").json(),
            "projects": self.ann.get("/api/projects").json(),
            "storage": self.ann.get("/api/storage").json(),
            "keys": [key["id"] for key in self.ann.get("/api/keys").json()["items"]],
            "sessions": [one["id"] for one in self.ann.get("/api/sessions").json()["items"]],
            "webhooks": [_still(one) for one in self.ann.get("/api/webhooks").json()["items"]],
            "message": _still(self.ann.get(f"/api/webhooks/deliveries/{self.anns['message']}").json()),
            "upload": self.ann.get(f"/gradio_api/file={self.anns['upload_path']}").content,
        }

    def never_was(self) -> dict[str, str]:
        """Names of the same shape as Ann's things, of what there is not."""
        things = {name: str(uuid4()) for name in self.anns}
        things["upload_path"] = self.anns["upload_path"].replace("/people/", f"/people/{secrets.token_hex(4)}")
        return {**things, "event": secrets.token_hex(16), "session": secrets.token_hex(6)} | self.bens


def _still(thing: dict[str, Any]) -> dict[str, Any]:
    """A webhook or its message without what the tries to send it move, which go on beside the walk."""
    moving = {"status", "attempts", "last_error", "next_attempt_at", "delivered_at", "log", "failing_since"}
    return {name: value for name, value in thing.items() if name not in moving}


def filled(value: Any, things: dict[str, str]) -> Any:
    """`value` with every {name} replaced by the thing of that name."""
    if isinstance(value, dict):
        return {key: filled(one, things) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, things) for one in value]
    if isinstance(value, str):
        for name, thing in things.items():
            value = value.replace(f"{{{name}}}", thing)
    return value


def neutral(text: str, things: dict[str, str]) -> str:
    """`text` with what was asked for taken out, so that two answers can be compared."""
    for name, thing in things.items():
        text = text.replace(thing, f"<{name}>")
    return text


@contextmanager
def two_people(served: ServedStudio) -> Iterator[TwoPeople]:
    """Both of them in a studio with accounts, and everything made that Ann is to have."""
    make_admin(served.studio)
    with ExitStack() as stack:
        ann, ben, nobody = (
            stack.enter_context(httpx.Client(base_url=served.url, timeout=60)) for _ in ("ann", "ben", "nobody")
        )
        sign_up(ann, "ann@example.org", f"Ann of the {SECRET_WORD}")
        sign_up(ben, "ben@example.org", "Ben")
        own = finished(ben, order(ben, "a red boat"))
        yield TwoPeople(
            served=served, ann=ann, ben=ben, nobody=nobody, anns=_all_of_ann(ann), bens={"own_asset": own["assets"][0]}
        )


def sign_up(client: httpx.Client, email: str, name: str) -> None:
    form = {"email": email, "password": PASSWORD, "display_name": name}
    client.post("/signup", data=form)
    assert client.get("/api/me").raise_for_status().json()["email"] == email


def order(client: httpx.Client, prompt: str, **fields: Any) -> str:
    """The id of a job just ordered."""
    answer = client.post("/api/queue-job", json={"prompt": prompt, "count": 1, **fields})
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job once it is completed."""
    job: dict[str, Any] = client.get(f"/api/jobs/{job_id}/wait?timeout_s=60").raise_for_status().json()
    assert job["status"] == "completed", job
    return job


def picture(colour: str) -> bytes:
    """A small PNG."""
    kept = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(kept, "PNG")
    return kept.getvalue()


def _all_of_ann(ann: httpx.Client) -> dict[str, str]:
    """One of everything, by name."""
    project = ann.post("/api/projects", json={"name": f"The {SECRET_WORD}"}).raise_for_status().json()["id"]
    job = finished(ann, order(ann, f"a {SECRET_WORD}", project=project))
    trashed = finished(ann, order(ann, f"a dark {SECRET_WORD}"))["assets"][0]
    ann.delete(f"/api/assets/{trashed}").raise_for_status()
    film = finished(ann, order(ann, f"a {SECRET_WORD} turns", job_type="video_fast", count=None))["assets"][0]
    upload = ann.post("/api/uploads", files={"file": ("a.png", picture("teal"))}).raise_for_status().json()["id"]
    (path,) = ann.post("/gradio_api/upload", files={"files": ("a.png", picture("navy"))}).raise_for_status().json()
    key = ann.post("/api/keys", json={"name": SECRET_WORD, "scopes": ["read"], "expires_in_days": 7})
    hook = (
        ann.post("/api/webhooks", json={"url": f"http://127.0.0.1:1024/{SECRET_WORD}"}).raise_for_status().json()["id"]
    )
    session = secrets.token_hex(6)
    # A film, so that the lane of the pictures stays free.
    values = [f"a slow {SECRET_WORD}", "video_high", "", None, None, None, None, -1, 1, None, None, None, None]
    event = ann.post("/gradio_api/call/generate", json={"data": values, "session_hash": session})
    return {
        "ann": ann.get("/api/me").json()["id"],
        "job": job["id"],
        "asset": job["assets"][0],
        "trashed": trashed,
        "film": film,
        "project": project,
        "upload": upload,
        "upload_path": path,
        "key": key.raise_for_status().json()["id"],
        "sign_in": ann.get("/api/sessions").json()["items"][0]["id"],
        "webhook": hook,
        "message": _tried(ann, ann.post(f"/api/webhooks/{hook}/test").raise_for_status().json()["id"]),
        "session": session,
        "event": event.raise_for_status().json()["event_id"],
        "running": _running(ann),
    }


def _tried(ann: httpx.Client, message: str) -> str:
    """The message, once it was tried as often as it is in a while."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if ann.get(f"/api/webhooks/deliveries/{message}").json()["attempts"] == len(RETRY_AFTER_S):
            return message
        time.sleep(0.05)
    raise AssertionError("Ann's webhook is not tried.")


def _running(ann: httpx.Client) -> str:
    """The id of the job that never ends by itself, once it runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        items = ann.get("/api/jobs?status=processing").json()["items"]
        if items:
            return str(items[0]["id"])
        time.sleep(0.05)
    raise AssertionError("Ann's slow job does not run.")


def job_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The jobs that a stream of server-sent events tells of."""
    for line in lines:
        if line.startswith("data:"):
            yield json.loads(line[5:])
