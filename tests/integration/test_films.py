"""Films and rewritten prompts through the doors: REST and the Python client, over real services and workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.integration.small_studio import WHO, ServedStudio
from tests.integration.test_rest import error_of, finished, order, picture
from tests.live import client_of
from tests.small_catalog import small_catalog

TYPES = sorted(small_catalog().types)
MP4_MAGIC = b"ftyp"


@pytest.fixture
def python(served_studio: ServedStudio, tmp_path: Path) -> Iterator[Client]:
    client = client_of(served_studio.url, download_files=tmp_path / "downloads")
    yield client
    client.close()


def film(web: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A finished film as an asset."""
    job = finished(web, order(web, job_type="video_fast", **fields)["id"])
    assert job["status"] == "completed", job["error"]
    asset: dict[str, Any] = web.get(f"/api/assets/{job['assets'][0]}").json()
    return asset


@pytest.mark.parametrize("job_type", TYPES)
def test_every_type_runs_over_rest(web: httpx.Client, job_type: str) -> None:
    job = finished(web, order(web, job_type=job_type, prompt="a boat sails left")["id"])

    assert (job["status"], job["error"], len(job["assets"])) == ("completed", None, 1)
    rewritten = job_type.endswith("_enhanced")
    assert (job["enhanced_prompt"] is not None) == rewritten
    asset = web.get(f"/api/assets/{job['assets'][0]}").json()
    assert asset["kind"] == ("video" if job_type.startswith("video") else "image")
    assert asset["enhanced_prompt"] == job["enhanced_prompt"]


@pytest.mark.parametrize("job_type", TYPES)
def test_every_type_runs_from_the_client_of(python: Client, job_type: str) -> None:
    job, files = python.predict("a boat sails left", job_type, count=1, api_name="/generate")

    assert job["status"] == "completed"
    assert [Path(file).suffix for file in files] == [".mp4" if job_type.startswith("video") else ".png"]
    head = Path(files[0]).read_bytes()[:8]
    assert head[4:] == MP4_MAGIC if job_type.startswith("video") else head[1:4] == b"PNG"


def test_a_film_is_served_in_ranges_with_its_poster_and_its_moving_preview(web: httpx.Client) -> None:
    asset = film(web, frames=17)

    assert (asset["frames"], asset["fps"], asset["mime_type"]) == (17, 8.0, "video/mp4")
    whole = web.get(asset["url"])
    assert (whole.headers["content-type"], len(whole.content)) == ("video/mp4", asset["bytes"])
    part = web.get(asset["url"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    for address in (asset["thumbnail_url"], f"{asset['thumbnail_url']}?size=768", asset["preview_url"]):
        assert web.get(address).headers["content-type"] == "image/webp"
    assert web.get(asset["download_url"]).headers["content-disposition"].endswith('.mp4"')


def test_another_persons_film_is_not_found(web: httpx.Client, served_studio: ServedStudio) -> None:
    served_studio.studio.add_person("cleo")
    asset = film(web)

    for address in (asset["url"], asset["thumbnail_url"], asset["preview_url"]):
        answer = web.get(address, headers={WHO: "cleo"})
        assert error_of(answer)["code"] == "not_found"
        assert answer.status_code == 404


def test_a_film_begins_with_a_film_of_ones_own(web: httpx.Client) -> None:
    first = film(web)
    second = film(web, image=first["id"], strength=0.5)

    assert second["parent_id"] == first["id"]


def test_what_the_checkpoint_cannot_begin_with_is_said_at_once(web: httpx.Client) -> None:
    upload = web.post("/api/uploads", files={"file": ("a.png", picture())}).json()
    made = film(web)

    for fields in ({"job_type": "video_fast", "image": upload["id"]}, {"job_type": "image_fast", "image": made["id"]}):
        answer = web.post("/api/queue-job", json={"prompt": "a boat", **fields})
        assert answer.status_code == 422
        assert error_of(answer)["field"] == "image"


@pytest.mark.parametrize(
    ("job_type", "prompt", "stage"),
    [
        ("video7b_fast_enhanced", "a slow boat", "enhancing"),
        ("video_fast", "a slow boat", "denoising"),
        ("video_fast", "a lingering boat", "encoding"),
    ],
)
def test_cancelling_in_a_stage_leaves_nothing_and_frees_the_lane(
    web: httpx.Client, served_studio: ServedStudio, job_type: str, prompt: str, stage: str
) -> None:
    job = order(web, job_type=job_type, prompt=prompt)
    while web.get(f"/api/jobs/{job['id']}").json()["stage"] != stage:
        time.sleep(0.02)
    web.post(f"/api/jobs/{job['id']}/cancel")

    ended = finished(web, job["id"])
    assert (ended["status"], ended["assets"]) == ("cancelled", [])
    after = finished(web, order(web, job_type=job_type)["id"])
    assert after["status"] == "completed"
    assert not list((served_studio.folder / "scratch").iterdir())
    assert web.get(f"/api/jobs/{job['id']}").json()["status"] == "cancelled"


def test_cancelling_while_the_model_loads_is_answered_before_it_is_loaded(
    web: httpx.Client, served_studio: ServedStudio
) -> None:
    heavy = served_studio.folder / "heavy"
    heavy.touch()
    job = order(web, job_type="video_fast")
    while web.get(f"/api/jobs/{job['id']}").json()["stage"] != "loading":
        time.sleep(0.02)
    web.post(f"/api/jobs/{job['id']}/cancel")
    ended = finished(web, job["id"])
    assert (ended["status"], ended["assets"], heavy.exists()) == ("cancelled", [], True)

    following = order(web, job_type="video_fast")
    heavy.unlink()
    assert finished(web, following["id"])["status"] == "completed"
    assert not list((served_studio.folder / "scratch").iterdir())


def test_a_prompt_is_rewritten_over_rest_and_from_the_client(web: httpx.Client, python: Client) -> None:
    over_rest = web.post("/api/enhance-prompt", json={"prompt": "boat at night", "kind": "image"}).json()
    from_client = python.predict("boat at night", api_name="/enhance_prompt")

    assert over_rest["prompt"] == from_client["prompt"] == "boat at night"
    assert over_rest["enhanced_prompt"].startswith("boat at night in soft light")
    assert from_client["enhanced_prompt"] == over_rest["enhanced_prompt"]


def test_an_unusable_rewriting_is_said(web: httpx.Client) -> None:
    answer = web.post("/api/enhance-prompt", json={"prompt": "an unusable boat"}).json()

    assert answer["enhanced_prompt"] is None
    assert "as written" in answer["note"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"prompt": ""}, "invalid_input"),
        ({"prompt": "   "}, "invalid_input"),
        ({"prompt": "x" * 4001}, "invalid_input"),
        ({"prompt": "a boat", "kind": "song"}, "invalid_input"),
        ({"prompt": "a forbiddenword"}, "policy_refused"),
        ({}, "invalid_input"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_in_words(web: httpx.Client, body: dict[str, str], code: str) -> None:
    answer = web.post("/api/enhance-prompt", json=body)

    assert answer.status_code == 422
    assert error_of(answer)["code"] == code


def test_a_writer_that_fails_is_told_without_a_traceback(web: httpx.Client, python: Client) -> None:
    answer = web.post("/api/enhance-prompt", json={"prompt": "an impossible boat"})
    assert (answer.status_code, error_of(answer)["code"]) == (503, "unavailable")
    with pytest.raises(AppError, match=r"unavailable: The prompt could not be rewritten"):
        python.predict("an impossible boat", api_name="/enhance_prompt")
