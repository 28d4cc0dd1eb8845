"""The whole program with PostgreSQL as its database."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.live import StudioServer
from tests.postgres import PostgresServer


def test_a_studio_on_postgresql_paints_and_finds_it_all_again_after_a_kill(
    make_studio: Callable[..., StudioServer], postgres_server: PostgresServer
) -> None:
    with postgres_server.database("template1") as url:
        server = make_studio(STUDIO_DATABASE_URL=url.replace("postgresql+psycopg://", "postgresql://"))
        small = {"width": 64, "height": 64, "steps": 4, "count": 1}
        painted = server.wait_completed(server.submit(**small)["id"])
        waiting = server.submit(**{**small, "steps": 30})["id"]
        server.stop(signal.SIGKILL)
        server.start()

        assert server.job(painted["id"]) == painted
        asset = server.client.get(f"/api/assets/{painted['assets'][0]}").raise_for_status().json()
        assert server.client.get(asset["url"]).content.startswith(b"\x89PNG")
        assert len(server.wait_completed(waiting)["assets"]) == 1
        server.stop()
    assert not (server.data_dir / "studio.db").exists()
