"""Workers on other machines: they claim, report and deliver over HTTP with a signature and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import update

from studio.database.schema import Job
from tests.integration.remote_worker import PATH, SECRET, completed, of, paint, signed
from tests.integration.small_studio import ServedStudio, SmallStudio
from tests.integration.two_people import finished, order, picture

OTHER_SECRET = "whsec_" + "YW5vdGhlciBzZWNyZXQgdGhhbiB0aGUgc3R1ZGlvJ3M="
ROOT = Path(__file__).parents[2]
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A studio in which nothing runs by itself, and a line to it."""

    studio: SmallStudio
    client: httpx.AsyncClient

    async def report(self, event: Json | bytes, files: Any = (), **signing: Any) -> httpx.Response:
        return await self.client.post(PATH, **signed(event, files, **signing))

    async def ordered(self, **fields: Any) -> Json:
        answer = await self.client.post("/api/queue-job", json={"prompt": "a red boat", "count": 2, **fields})
        job: Json = answer.raise_for_status().json()
        return job

    async def claimed(self, lane: str = "sdxl") -> Json:
        answer = await self.report({"event": "claim", "lane": lane, "worker": "pod-7"})
        claim = answer.raise_for_status().json()["claim"]
        assert claim is not None
        claimed: Json = claim
        return claimed

    async def job(self, job_id: str) -> Json:
        job: Json = (await self.client.get(f"/api/jobs/{job_id}")).raise_for_status().json()
        del job["progress"]["eta_s"]  # it runs down by itself
        return job

    def expire(self, claim: Json) -> None:
        """The lease has run out; nobody has swept yet."""
        with self.studio.database.as_system() as session:
            session.execute(update(Job).where(Job.id == claim["job_id"]).values(lease_expires_at=1.0))


@pytest_asyncio.fixture
async def pod(tmp_path: Path, database_url: str) -> AsyncIterator[Pod]:
    studio = SmallStudio(tmp_path, database_url=database_url, worker_secret=SECRET)
    transport = httpx.ASGITransport(studio.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        yield Pod(studio=studio, client=client)
    studio.database.close()


async def test_a_job_is_claimed_followed_and_delivered(pod: Pod, tmp_path: Path) -> None:
    job = await pod.ordered(seed=7)
    claim = await pod.claimed()
    assert (claim["job_id"], claim["attempt"], claim["type"]) == (job["id"], 1, "sdxl_image_fast")
    assert claim["request"]["seeds"] == [7, 8]
    assert claim["lease_s"] > 0

    preview = "UklGRgAAAABXRUJQ"
    told = await pod.report(
        of(
            claim,
            "progress",
            stage="denoising",
            fraction=0.5,
            step=1,
            steps=2,
            preview=preview,
            timings={"loading_s": 2},
        )
    )
    assert told.json() == {"stop": False}
    running = await pod.job(job["id"])
    assert (running["status"], running["stage"], running["progress"]["step"]) == ("processing", "denoising", 1)
    assert (await pod.client.get(running["preview_url"])).content == b"RIFF\0\0\0\0WEBP"

    pictures = paint(claim["request"])
    answer = await pod.report(completed(claim, pictures), pictures)
    assert (answer.status_code, answer.json()) == (200, {"status": "completed", "error": None})
    done = await pod.job(job["id"])
    assert (done["status"], len(done["assets"]), done["receipt"]["model"]) == ("completed", 2, "elsewhere")
    assert done["timings"]["denoising_s"] == 0.5
    file = await pod.client.get(f"/media/{done['assets'][1]}")
    with Image.open(io.BytesIO(file.content)) as opened:
        assert opened.getpixel((0, 0)) == (8, 64, 128)
        assert "a red boat" in opened.text["parameters"]
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_the_same_report_gets_the_same_answer_and_a_replay_none(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    await pod.ordered()
    claim = await pod.claimed()
    pictures = paint(claim["request"])
    first = await pod.report(completed(claim, pictures), pictures, report_id="msg_once")
    before = await pod.job(claim["job_id"])
    again = await pod.report(completed(claim, pictures), pictures)
    assert (again.status_code, again.json()) == (200, first.json())
    assert await pod.job(claim["job_id"]) == before

    replayed = await pod.report(completed(claim, pictures), pictures, report_id="msg_once")
    assert (replayed.status_code, replayed.json()["error"]["code"]) == (409, "conflict")
    assert "'msg_once' (completed) came a second time" in caplog.text

    other = await pod.report(of(claim, "failed", code="internal", message="Too late."))
    assert other.status_code == 409
    assert await pod.job(claim["job_id"]) == before


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"event": "failed", "code": "out_of_memory", "message": "Too large."}, "failed"),
        ({"event": "failed", "code": "worker_lost", "message": "It fell.", "transient": True}, "pending"),
        ({"event": "handed_back"}, "pending"),
    ],
)
async def test_other_ends_are_taken_once_too(pod: Pod, event: Json, status: str) -> None:
    job = await pod.ordered()
    claim = await pod.claimed()
    for _ in range(2):
        answer = await pod.report(of(claim, **event))
        assert answer.json() == {"status": status, "error": None}
    after = await pod.job(job["id"])
    assert after["status"] == status
    assert after["attempt"] == (0 if event["event"] == "handed_back" else 1)
    if status == "failed":
        assert after["error"] == {"code": "out_of_memory", "message": "Too large."}


@pytest.mark.parametrize(
    ("signing", "spoil"),
    [
        ({"secret": OTHER_SECRET}, {}),
        ({"at": datetime.now(UTC) - timedelta(minutes=6)}, {}),
        ({"at": datetime.now(UTC) + timedelta(minutes=20)}, {}),
        ({}, {"webhook-id": "another"}),
        ({}, {"webhook-id": "x" * 300}),
        ({}, {"webhook-timestamp": "yesterday"}),
        ({}, {"webhook-timestamp": "nan"}),
        ({}, {"webhook-signature": ""}),
        ({}, {"webhook-signature": "v1"}),
        ({}, {"webhook-signature": "v1,not base64 , ,"}),
        ({}, {"webhook-signature": "v1," + "A" * 44}),
        ({}, {"webhook-signature": "v2,AAAA"}),
    ],
)
async def test_what_is_not_signed_is_refused(
    pod: Pod, caplog: pytest.LogCaptureFixture, signing: Json, spoil: dict[str, str]
) -> None:
    await pod.ordered()
    request = signed({"event": "claim", "lane": "sdxl", "worker": "stranger"}, **signing)
    request["headers"] |= spoil
    answer = await pod.client.post(PATH, **request)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert spoil.get("webhook-id") == "x" * 300 or "was refused" in caplog.text
    assert (await pod.client.get("/api/jobs?status=pending")).json()["items"]


async def test_another_body_under_a_true_signature_is_refused(pod: Pod) -> None:
    await pod.ordered()
    request = signed({"event": "claim", "lane": "sdxl", "worker": "pod-7"})
    request["content"] = request["content"].replace(b"pod-7", b"pod-8")
    assert (await pod.client.post(PATH, **request)).status_code == 401


async def test_a_strangers_files_are_not_even_read(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled: list[Any] = []

    class Counted(tempfile.SpooledTemporaryFile[bytes]):
        def __init__(self, **rest: Any) -> None:
            super().__init__(**rest)
            spooled.append(self)

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", Counted)
    await pod.ordered()
    claim = await pod.claimed()
    pictures = paint(claim["request"])
    forged = await pod.report(completed(claim, pictures), pictures, secret=OTHER_SECRET)
    assert (forged.status_code, spooled) == (401, [])
    files_first = signed(completed(claim, pictures), pictures)
    files_first["files"].reverse()
    assert (await pod.client.post(PATH, **files_first)).status_code == 422
    assert len(spooled) <= 1
    assert (await pod.report(completed(claim, pictures), pictures)).status_code == 200


@pytest.mark.parametrize("lost", ["expired", "swept", "unknown"])
async def test_a_lease_that_is_over_writes_nothing(pod: Pod, caplog: pytest.LogCaptureFixture, lost: str) -> None:
    await pod.ordered()
    claim = await pod.claimed()
    if lost == "unknown":
        claim = {**claim, "lease_token": "0193a1b2-0000-7000-8000-000000000000"}
    else:
        pod.expire(claim)
        if lost == "swept":
            assert pod.studio.leases.sweep() == ["sdxl"]
    before = await pod.job(claim["job_id"])
    pictures = paint(claim["request"])
    for event, files in (
        (of(claim, "progress", stage="denoising", fraction=0.5), ()),
        (completed(claim, pictures), pictures),
        (of(claim, "failed", code="internal", message="It broke."), ()),
        (of(claim, "cancelled"), ()),
        (of(claim, "handed_back"), ()),
    ):
        answer = await pod.report(event, files)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert await pod.job(claim["job_id"]) == before
    assert "without its lease" in caplog.text
    if lost == "swept":
        second = await pod.claimed()
        assert (second["job_id"], second["attempt"]) == (claim["job_id"], 2)
        assert (await pod.report(completed(second, pictures), pictures)).json()["status"] == "completed"


async def test_a_wish_to_stop_is_heard(pod: Pod) -> None:
    job = await pod.ordered()
    claim = await pod.claimed()
    early = await pod.report(of(claim, "cancelled"))
    assert (early.status_code, early.json()["error"]["field"]) == (422, "event")
    await pod.client.post(f"/api/jobs/{job['id']}/cancel")
    assert (await pod.report(of(claim, "progress", stage="denoising", fraction=0.5))).json() == {"stop": True}
    assert (await pod.report(of(claim, "cancelled"))).json()["status"] == "cancelled"
    assert (await pod.job(job["id"]))["status"] == "cancelled"


async def test_a_delivery_after_the_wish_to_stop_is_not_kept(pod: Pod) -> None:
    job = await pod.ordered()
    claim = await pod.claimed()
    await pod.client.post(f"/api/jobs/{job['id']}/cancel")
    pictures = paint(claim["request"])
    assert (await pod.report(completed(claim, pictures), pictures)).json()["status"] == "cancelled"
    assert (await pod.job(job["id"]))["assets"] == []


async def test_a_prompt_is_rewritten_elsewhere_and_the_film_waits_in_its_lane(pod: Pod) -> None:
    job = await pod.ordered(job_type="image7b_fast_enhanced", count=None)
    assert (await pod.report({"event": "claim", "lane": "wan", "worker": "pod-7"})).json() == {"claim": None}
    claim = await pod.claimed("qwen")
    assert claim["request"]["kind"] == "image"
    assert set(claim["request"]) == {"job_id", "prompt", "kind", "language", "seed"}
    refused = await pod.report(of(claim, "completed", files=completed_files(claim)), [picture("red")])
    assert refused.status_code == 422
    answer = await pod.report(of(claim, "rewritten", prompt="a red boat in soft light", receipt={"model": "q"}))
    assert answer.json()["status"] == "pending"
    then = await pod.claimed("wan")
    assert then["request"]["prompt"] == "a red boat in soft light"
    assert (await pod.report(of(then, "rewritten", prompt="once more"))).status_code == 422
    pictures = paint(then["request"])
    assert (await pod.report(completed(then, pictures), pictures)).json()["status"] == "completed"
    assert (await pod.job(job["id"]))["enhanced_prompt"] == "a red boat in soft light"


def completed_files(claim: Json) -> list[Json]:
    made = {**claim, "request": {"width": 64, "height": 64, "seeds": [1]}}
    files: list[Json] = completed(made, [picture("red")])["files"]
    return files


async def test_references_are_had_by_link_and_for_as_long_as_the_lease_holds(pod: Pod) -> None:
    upload, mask = [
        (await pod.client.post("/api/uploads", files={"file": ("a.png", picture(colour))})).json()["id"]
        for colour in ("teal", "white")
    ]
    await pod.ordered(image=upload, mask=mask, count=1)
    claim = await pod.claimed()
    for name, colour in (("image", (0, 128, 128)), ("mask", (255, 255, 255))):
        answer = await pod.client.get(claim["request"][name])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        with Image.open(io.BytesIO(answer.content)) as opened:
            assert opened.convert("RGB").getpixel((0, 0)) == colour
    assert "video" not in claim["request"]
    link = claim["request"]["image"]
    assert (await pod.client.get(link[:-3] + "AAA")).status_code == 404
    pod.expire(claim)
    assert (await pod.client.get(link)).status_code == 409


async def test_a_job_whose_reference_is_gone_fails_and_the_next_is_claimed(pod: Pod) -> None:
    upload = (await pod.client.post("/api/uploads", files={"file": ("a.png", picture("teal"))})).json()["id"]
    broken = await pod.ordered(image=upload, count=1)
    whole = await pod.ordered(count=1)
    with pod.studio.database.as_system() as session:
        session.execute(update(Job).where(Job.id == broken["id"]).values(config={**broken["config"], "image": "gone"}))
    assert (await pod.claimed())["job_id"] == whole["id"]
    assert (await pod.job(broken["id"]))["error"]["code"] == "invalid_input"


@pytest.mark.parametrize("spoil", ["content", "size", "missing"])
async def test_files_are_held_to_what_was_signed(pod: Pod, spoil: str) -> None:
    await pod.ordered()
    claim = await pod.claimed()
    pictures = paint(claim["request"])
    event = completed(claim, pictures)
    sent = list(pictures)
    if spoil == "content":
        sent[1] = pictures[0]
    elif spoil == "size":
        event["files"][1]["bytes"] += 1
    else:
        sent.pop()
    answer = await pod.report(event, sent)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file1")
    assert (await pod.report(completed(claim, pictures), pictures)).json()["status"] == "completed"


async def test_what_is_no_picture_fails_the_job_as_it_would_here(pod: Pod) -> None:
    job = await pod.ordered(count=1)
    claim = await pod.claimed()
    answer = await pod.report(completed(claim, [b"no picture"]), [b"no picture"])
    assert answer.json()["status"] == "failed"
    assert answer.json()["error"]["code"] == "storage_error"
    assert (await pod.job(job["id"]))["error"]["code"] == "storage_error"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fraction": 2}, "fraction"),
        ({"stage": "dreaming"}, "stage"),
        ({"colour": "red"}, "colour"),
        ({"timings": {"denoising": 1}}, "timings.denoising.[key]"),
        ({"preview": "not base64!"}, "preview"),
        ({"lease_token": 7}, "lease_token"),
        ({"job_id": "a\0b"}, None),
        ({"event": "dance"}, None),
    ],
)
async def test_reports_are_read_strictly(pod: Pod, change: Json, field: str | None) -> None:
    event = {"event": "progress", "job_id": "x", "lease_token": "y", "stage": "denoising", "fraction": 0.5, **change}
    answer = await pod.report(event)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"].get("field") == field


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"event": "failed"}', b'{"event": "claim", "lane": "x"}'])
async def test_bodies_that_are_no_report(pod: Pod, body: bytes) -> None:
    assert (await pod.report(body)).status_code == 422


async def test_receipts_hold_only_what_can_be_kept(pod: Pod) -> None:
    await pod.ordered(count=1)
    claim = await pod.claimed()
    pictures = paint(claim["request"])
    for receipt in ({"x": float("inf")}, {"x": "y" * 70_000}):
        event = {**completed(claim, pictures), "receipt": receipt}
        assert (await pod.report(event, pictures)).status_code == 422
    assert (await pod.report(b" " * 300_000)).status_code == 413
    assert (await pod.report({"event": "claim", "lane": "cellar", "worker": "x"})).json()["error"]["field"] == "lane"


async def test_without_a_secret_there_is_nothing(shut_door: httpx.AsyncClient) -> None:
    requests: list[Json] = [
        signed({"event": "claim", "lane": "sdxl", "worker": "x"}),
        signed({"event": "claim", "lane": "sdxl", "worker": "x"}, [b"file"]),
        {"content": b"{", "headers": {"Content-Type": "text/plain"}},
    ]
    for request in requests:
        there, elsewhere = [await shut_door.post(path, **request) for path in (PATH, "/api/nothing-at-all")]
        assert (there.status_code, there.text) == (elsewhere.status_code, elsewhere.text)
    assert there.status_code != 200
    assert (await shut_door.get(PATH)).status_code == 404
    assert (await shut_door.get(f"{PATH}/references/x")).status_code == 404
    assert PATH not in (await shut_door.get("/api/openapi.json")).json()["paths"]


async def test_a_start_of_the_studio_leaves_their_leases_alone(pod: Pod) -> None:
    """Only time ends them; and they keep no worker here from work."""
    await pod.ordered()
    claim = await pod.claimed()
    assert pod.studio.leases.reset_orphans() == []
    assert (await pod.job(claim["job_id"]))["status"] == "processing"
    await pod.ordered()
    assert pod.studio.leases.sweep() == ["sdxl"]


# The real thing: a process of its own, which is killed.


@contextmanager
def worker_process(url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.remote_worker", url, *words]
    environment = {**os.environ, "WORKER_SECRET": SECRET}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_worker_in_a_process_of_its_own_is_killed_and_another_takes_over(tmp_path: Path) -> None:
    with (
        ServedStudio(tmp_path, worker_secret=SECRET).serving() as served,
        httpx.Client(base_url=served.url, timeout=60) as web,
    ):
        # The studio's own worker of the lane has its hands full.
        slow = order(web, "a slow boat")
        job_id = order(web, "a red boat", count=2, seed=7)
        with worker_process(served.url, "sdxl", "hangs") as first:
            assert first.stdout is not None
            taken = first.stdout.readline().strip()
            first.kill()
        with served.studio.database.as_system() as session:
            session.execute(update(Job).where(Job.id == taken).values(lease_expires_at=1.0))
        with worker_process(served.url, "sdxl") as second:
            assert second.wait(60) == 0
        job = finished(web, job_id)
        assert len(job["assets"]) == 2
        web.post(f"/api/jobs/{slow}/cancel").raise_for_status()
