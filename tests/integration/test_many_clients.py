"""Many Python clients at once: followers must not starve the lanes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.live import StudioServer, client_of

CLIENTS = 45


def test_45_clients_following_at_once_all_get_their_picture(studio_server: StudioServer, tmp_path: Path) -> None:
    def generate(number: int) -> tuple[dict[str, Any], list[str]]:
        client = client_of(studio_server.url, download_files=tmp_path / str(number))
        try:
            job, files = client.predict(f"a green tree, number {number}", count=1, steps=1, api_name="/generate")
        finally:
            client.close()
        return job, files

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(generate, range(CLIENTS)))

    assert {job["status"] for job, _ in answers} == {"completed"}
    assert len({job["id"] for job, _ in answers}) == CLIENTS
    for _, files in answers:
        assert [Path(file).read_bytes()[:8] for file in files] == [b"\x89PNG\r\n\x1a\n"]
