"""All ten job types with the demo checkpoints: real pipelines, a real server, from REST and the Python client."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio_client import Client

from studio.media.provenance import read_mp4, read_png
from tests.live import StudioServer, client_of
from tests.small_films import probed

PICTURES = ("sdxl_image_fast", "sdxl_image_high", "image_fast", "image_high")
FILMS = ("video_fast", "video_high")
ENHANCED = ("image7b_fast_enhanced", "image7b_high_enhanced", "video7b_fast_enhanced", "video7b_high_enhanced")
PROMPT = "a red boat sails left at sunset"


@pytest.fixture(scope="module")
def python_client(studio_server: StudioServer, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return client_of(studio_server.url, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.mark.parametrize("job_type", [*PICTURES, *FILMS, *ENHANCED])
def test_a_type_ends_with_files_that_know_how_they_were_made(
    studio_server: StudioServer, python_client: Client, job_type: str
) -> None:
    job, files = python_client.predict(PROMPT, job_type, count=1, seed=7, api_name="/generate")

    assert (job["status"], job["error"], len(files)) == ("completed", None, 1)
    read = read_mp4 if files[0].endswith(".mp4") else read_png
    facts = read(Path(files[0]))
    assert facts is not None
    assert (facts.prompt, facts.seed, facts.job_type, facts.job_id) == (PROMPT, 7, job_type, job["id"])
    assert facts.steps == job["config"]["steps"]
    if job_type in ENHANCED:
        assert (job["lane"], job["receipt"]["enhancement"]["checkpoint"]) == ("wan", "Tiny World (demo)")
        assert job["enhanced_prompt"] or job["note"]
        assert facts.enhanced_prompt == job["enhanced_prompt"]
    if files[0].endswith(".mp4"):
        told = probed(Path(files[0]))
        (film,) = told["streams"]
        assert (film["codec_name"], film["pix_fmt"]) == ("h264", "yuv420p")
        assert int(film["nb_read_frames"]) == job["config"]["frames"]
        assert film["r_frame_rate"] == f"{job['config']['fps']:g}/1"
        assert PROMPT in str(told["format"]["tags"])


def test_the_same_film_again_is_the_same_film(studio_server: StudioServer) -> None:
    ids = [studio_server.submit(PROMPT, job_type="video_fast", seed=3)["id"] for _ in range(2)]
    first, again = (studio_server.wait_completed(job_id)["assets"][0] for job_id in ids)

    assert _pixels(studio_server, first) == _pixels(studio_server, again)


def test_what_the_demo_checkpoint_cannot_do_is_said_before_it_is_queued(studio_server: StudioServer) -> None:
    still = studio_server.wait_completed(studio_server.submit(PROMPT, job_type="image_fast")["id"])["assets"][0]
    order = {"prompt": PROMPT, "job_type": "video_fast", "image": still}
    answer = studio_server.client.post("/api/queue-job", json=order)

    assert answer.status_code == 422
    assert "STUDIO_WAN_MODEL" in answer.json()["error"]["message"]


def test_a_film_can_begin_with_a_film(studio_server: StudioServer) -> None:
    first = studio_server.wait_completed(studio_server.submit(PROMPT, job_type="video_fast")["id"])["assets"][0]
    order = studio_server.submit("a red boat sails left at night", job_type="video_fast", image=first, strength=0.7)
    job = studio_server.wait_completed(order["id"])

    assert job["receipt"]["mode"] == "video"
    asset = studio_server.client.get(f"/api/assets/{job['assets'][0]}").json()
    assert asset["parent_id"] == first


def _pixels(server: StudioServer, asset_id: str) -> bytes:
    """The film's moving preview, which is made of its frames alone."""
    return server.client.get(f"/media/{asset_id}/preview").raise_for_status().content
