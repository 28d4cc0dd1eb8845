"""Five hundred files and forms of every wrong kind: each is refused with a code, or was a fine picture after all."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.integration.malformed_files import REFUSED, Upload, uploads
from tests.integration.people import PASSWORD, make_admin
from tests.integration.small_studio import ServedStudio, SmallStudio

MANY = 500
MAX_GROWTH_BYTES = 100 * 2**20
"""What the process may have grown by in the end: less than one of the largest pictures takes while it is decoded."""
WARM_UP = 60


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on odd metadata
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a form that has no end
async def test_five_hundred_malformed_uploads(
    resting_studio: SmallStudio, door: httpx.AsyncClient, record_testsuite_property: Any
) -> None:
    every = uploads()
    assert len(every) >= MANY
    assert len({one.name for one in every}) == len(every)
    process = psutil.Process()
    wrong, longest_s, before = [], 0.0, 0
    for number, one in enumerate(every):
        if number == WARM_UP:
            gc.collect()
            before = process.memory_info().rss
        began = time.perf_counter()
        answer = await door.post("/api/uploads", content=one.body, headers={"Content-Type": one.content_type})
        longest_s = max(longest_s, time.perf_counter() - began)
        if answer.status_code not in one.statuses or not _is_in_our_form(answer):
            wrong.append((one.name, answer.status_code, answer.text[:200]))
    gc.collect()
    growth = process.memory_info().rss - before
    record_testsuite_property("malformed uploads", len(every))
    record_testsuite_property("slowest malformed upload, s", round(longest_s, 3))
    record_testsuite_property("growth over malformed uploads, MB", round(growth / 2**20))
    assert wrong == []
    assert growth < MAX_GROWTH_BYTES
    _only_plain_pictures_were_kept(resting_studio)


def _is_in_our_form(answer: httpx.Response) -> bool:
    body = answer.json()
    if answer.status_code == 201:
        return {"id", "width", "height", "url"} <= set(body)
    return set(body) == {"error"} and body["error"]["code"] == "invalid_input" and body["error"]["message"] != ""


def _only_plain_pictures_were_kept(studio: SmallStudio) -> None:
    """What was taken is stored under names of the studio's own, as pictures without any text in them."""
    kept = [found.key for batch in studio.storage.batches("uploads", 1000) for found in batch]
    person = studio.people[""].id
    assert kept
    for key in kept:
        folder, owner, name = key.split("/")
        assert (folder, owner, Path(name).suffix, len(Path(name).stem)) == ("uploads", person, ".png", 36)
        data = studio.storage.read(key)
        assert b"script" not in data
        assert data.endswith(b"IEND\xaeB`\x82")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    folder = tmp_path_factory.mktemp("malformed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        with ServedStudio(folder, mode="accounts").serving() as served:
            make_admin(served.studio)  # whom no limit of uploads a minute stops
            yield served


def sample() -> list[Upload]:
    """One of each sort, by the file that is in the form."""
    refused = [one for one in uploads() if one.statuses == REFUSED and not one.name.startswith("form")]
    return refused[7::23]


def test_a_sample_of_them_by_the_python_client(served: ServedStudio, tmp_path: Path) -> None:
    client = Client(served.url, verbose=False, auth=("admin@example.org", PASSWORD), download_files=tmp_path)
    try:
        for number, one in enumerate(sample()):
            path = tmp_path / f"{number}.png"
            path.write_bytes(one.body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0])
            with pytest.raises(AppError, match=r"^invalid_input: "):
                client.predict("a boat", image=handle_file(path), count=1, api_name="/submit_job")
        fine = tmp_path / "fine.png"
        Image.linear_gradient("L").save(fine)
        job = client.predict("a boat", image=handle_file(fine), count=1, api_name="/submit_job")
        assert job["status"] in ("pending", "processing", "completed")
    finally:
        client.close()
