"""Small studios for the tests of the doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.integration.small_studio import ServedStudio, SmallStudio
from tests.postgres import DATABASES, database_of_kind


@pytest.fixture(scope="module", params=DATABASES)
def served_studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    """A running studio behind a real server, on either kind of database."""
    folder = tmp_path_factory.mktemp("served")
    with (
        database_of_kind(request.param, folder, request) as url,
        ServedStudio(folder, database_url=url).serving() as served,
    ):
        yield served


@pytest.fixture
def web(served_studio: ServedStudio) -> Iterator[httpx.Client]:
    """A REST client of the running studio."""
    with httpx.Client(base_url=served_studio.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def untouched_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStudio]:
    """A resting studio for tests that leave it as it was."""

    async def build() -> SmallStudio:
        return SmallStudio(tmp_path_factory.mktemp("untouched"))

    studio = asyncio.run(build())
    yield studio
    studio.database.close()


@pytest_asyncio.fixture
async def shut_door(untouched_studio: SmallStudio) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of the untouched studio, for what it must refuse."""
    transport = httpx.ASGITransport(untouched_studio.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest_asyncio.fixture
async def resting_studio(tmp_path: Path, database_url: str) -> AsyncIterator[SmallStudio]:
    """A studio in which nothing runs, on either kind of database: jobs stay where they are put."""
    studio = SmallStudio(tmp_path, database_url=database_url)
    yield studio
    studio.database.close()


@pytest_asyncio.fixture
async def door(resting_studio: SmallStudio) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of the resting studio."""
    transport = httpx.ASGITransport(resting_studio.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        yield client
