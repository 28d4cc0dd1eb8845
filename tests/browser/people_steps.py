"""What people do in browsers of their own: sign in, look at the studio, order pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.integration.people import HERE, PASSWORD

PATIENCE_MS = 10_000
LOGIN = re.compile(r"/login(\?.*)?$")
SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1440, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}

OpenBrowser = Callable[..., BrowserContext]


@contextmanager
def browsers(chromium: Browser) -> Iterator[OpenBrowser]:
    """Opens browsers that share nothing: what a person has on a device of their own."""
    with ExitStack() as stack:

        def make(size: str = "desk", **options: Any) -> BrowserContext:
            context = stack.enter_context(chromium.new_context(**SIZES[size], **options))
            context.set_default_timeout(PATIENCE_MS)
            return context

        yield make


def new_address() -> str:
    """An email address that nobody has yet."""
    return f"{uuid4().hex[:12]}@example.org"


def register(studio: PaintedStudio) -> str:
    """A new member without a browser. Returns the address."""
    assert studio.studio.accounts is not None
    email = new_address()
    studio.studio.accounts.people.accounts.sign_up(email, PASSWORD, "Ana Boat", HERE)
    return email


def sign_in(page: Page, url: str, email: str, password: str = PASSWORD, path: str = "/login") -> None:
    """Sign in with the form."""
    page.goto(url + path)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def see_studio(page: Page) -> None:
    """Wait until the screens are there."""
    expect(page.locator("#prompt textarea")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#job-feed [role=feed]")).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What somebody ordered in a browser and got."""

    prompt: str
    job: str
    assets: list[str]

    @property
    def marks(self) -> list[str]:
        """What only somebody who sees something of it can know."""
        return [self.prompt, self.job, *self.assets]


def painted(page: Page, prompt: str, wanted: int = 6) -> Made:
    """Order pictures as a person does, and see them."""
    see_studio(page)
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#generate").click()
    strip = page.locator(".ov-strip[data-job]", has_text=prompt)
    tiles = strip.locator(".ov-tile[data-asset]")
    expect(tiles.locator("img")).to_have_count(wanted, timeout=PATIENCE_MS)
    job = strip.get_attribute("data-job")
    assert job is not None
    return Made(prompt=prompt, job=job, assets=tiles.evaluate_all("nodes => nodes.map((node) => node.dataset.asset)"))
