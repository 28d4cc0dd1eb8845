"""A real Chromium for the browser tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import SIZES, OpenBrowser, browsers

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts the system's Chromium if there is one, else Playwright's own, with the flags it is given besides."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *QUIET, *flags])


@pytest.fixture(scope="session")
def chromium(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """The Chromium of most tests."""
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    """A studio of the module's own, without accounts."""
    with PaintedStudio(tmp_path_factory.mktemp("painted")).serving() as served:
        yield served


@pytest.fixture(scope="module")
def open_to_guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    """A studio of the module's own, where one need not sign in."""
    with PaintedStudio(tmp_path_factory.mktemp("guests"), mode="guest").serving() as served:
        yield served


@pytest.fixture
def open_browser(chromium: Browser) -> Iterator[OpenBrowser]:
    """Opens browsers of people who share nothing."""
    with browsers(chromium) as make:
        yield make


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    """At a desk, and on a phone."""
    wanted: str = request.param
    return wanted
