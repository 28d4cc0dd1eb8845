"""The studio on a Space, in the frame of Hugging Face's page: another site's frame, whose cookies are kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, FrameLocator, Page, expect

from tests.browser.people_steps import OpenBrowser, browsers, new_address, painted, see_studio
from tests.browser.space import HUB, OTHER_SPACE, SPACE, STRANGER, Space, embedding, space
from tests.integration.people import PASSWORD

pytestmark = pytest.mark.browser

DARK, LIGHT = "rgb(11, 11, 13)", "rgb(246, 246, 248)"
WHO = "fetch('/api/me').then((answer) => answer.json())"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with space(tmp_path_factory.mktemp("space")) as one:
        yield one


@pytest.fixture(scope="module")
def browser(shown: Space, launch: Callable[..., Browser]) -> Iterator[Browser]:
    """A Chromium that finds the Space."""
    browser = launch(*shown.flags)
    yield browser
    browser.close()


@pytest.fixture
def open_browser(browser: Browser) -> Iterator[OpenBrowser]:
    with browsers(browser) as make:
        yield lambda *wanted, **options: make(*wanted, ignore_https_errors=True, **options)


def framed(page: Page, path: str = "/", site: str = HUB) -> Frame:
    """The Space's `path` in the page of `site`."""
    page.goto(embedding(site, path))
    frame = page.frames[1]
    frame.wait_for_load_state()
    return frame


def cookie(context: BrowserContext, name: str) -> dict[str, Any]:
    """The one cookie of that name."""
    (found,) = [dict(one) for one in context.cookies() if one.get("name") == name]
    return found


def fill(form: FrameLocator | Frame, email: str) -> None:
    form.get_by_label("Email").fill(email)
    form.get_by_label("Password").fill(PASSWORD)


def background(place: Page | Frame) -> str:
    colour: str = place.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return colour


def test_one_signs_up_in_and_out_in_the_frame_without_a_script(open_browser: OpenBrowser) -> None:
    context = open_browser(java_script_enabled=False)
    page = context.new_page()
    email = new_address()
    frame = framed(page, "/signup?next=/account")
    frame.get_by_label("Your name").fill("Ana Boat")
    fill(frame, email)
    frame.get_by_role("button", name="Create account").click()
    expect(frame.get_by_text(f"{email} · member")).to_be_visible()
    kept = cookie(context, "__Host-studio")
    assert (kept["secure"], kept["httpOnly"], kept["sameSite"]) == (True, True, "None")
    assert kept["partitionKey"] == HUB

    frame = framed(page, "/account")
    expect(frame.get_by_text(f"{email} · member")).to_be_visible()
    frame.get_by_role("button", name="Sign out", exact=True).click()
    expect(frame.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "__Host-studio" not in {one.get("name") for one in context.cookies()}

    frame = framed(page, "/login?next=/account")
    fill(frame, email)
    frame.get_by_role("button", name="Sign in", exact=True).click()
    expect(frame.get_by_text(f"{email} · member")).to_be_visible()


def test_a_guests_work_stays_in_the_frame_of_that_site(open_browser: OpenBrowser) -> None:
    context = open_browser()
    page = context.new_page()
    frame: Any = framed(page)
    painted(frame, "a red boat")
    guest = frame.evaluate(WHO)
    assert guest["role"] == "guest"
    assert cookie(context, "__Host-studio-guest")["partitionKey"] == HUB

    frame = framed(page)
    see_studio(frame)
    assert frame.evaluate(WHO)["id"] == guest["id"]
    frame.locator("#tab-library-button").click()
    expect(frame.locator("#library .ov-shown-count")).to_have_text("6 pictures")

    elsewhere = framed(page, site=OTHER_SPACE)
    other = elsewhere.evaluate(WHO)
    page.goto(SPACE)
    alone = page.evaluate(WHO)
    assert len({guest["id"], other["id"], alone["id"]}) == 3
    keys = {one.get("partitionKey") for one in context.cookies() if one.get("name") == "__Host-studio-guest"}
    assert keys == {HUB, OTHER_SPACE, SPACE}


def test_other_sites_do_not_show_the_studio(open_browser: OpenBrowser) -> None:
    page = open_browser().new_page()
    assert framed(page, "/login", site=STRANGER).url.startswith("chrome-error:")
    assert framed(page, "/login", site=HUB).url == f"{SPACE}/login"


def test_hugging_face_signs_in_in_a_tab_of_its_own(open_browser: OpenBrowser, shown: Space) -> None:
    shown.issuer.person = {"sub": "hf-7", "name": "Ana Boat"}
    context = open_browser()
    page = context.new_page()
    frame = framed(page, "/login?next=/account")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Sign in with Hugging Face").click()
    tab = opened.value
    expect(tab.get_by_role("heading", name="You are signed in")).to_be_visible()
    tab.get_by_role("link", name="To the studio").click()
    expect(tab.get_by_role("heading", name="Ana Boat")).to_be_visible()
    assert tab.url == f"{SPACE}/account"
    tab.get_by_role("link", name="Studio", exact=True).click()
    expect(tab.get_by_role("link", name="account and sign-out")).to_have_text("A")
    assert cookie(context, "__Host-studio")["partitionKey"] == SPACE
    assert "__Host-studio-outside" not in {one.get("name") for one in context.cookies()}
    assert framed(page).evaluate(WHO)["role"] == "guest"

    frame = framed(page, "/login/huggingface?next=/account")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Open the tab").click()
    expect(opened.value.get_by_role("heading", name="You are signed in")).to_be_visible()


def test_outside_a_frame_hugging_face_keeps_to_the_tab(open_browser: OpenBrowser, shown: Space) -> None:
    shown.issuer.person = {"sub": "hf-8", "name": "Ben Boat"}
    context = open_browser(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{SPACE}/login?next=/account")
    page.get_by_role("link", name="Sign in with Hugging Face").click()
    expect(page.get_by_role("heading", name="Ben Boat")).to_be_visible()
    assert (page.url, len(context.pages)) == (f"{SPACE}/account", 1)


@pytest.mark.parametrize("in_frame", [True, False], ids=["in the frame", "alone"])
@pytest.mark.parametrize("system", ["dark", "light"])
def test_the_pages_follow_the_switch_of_the_studio(open_browser: OpenBrowser, system: Any, in_frame: bool) -> None:
    page = open_browser(color_scheme=system).new_page()

    def at(path: str) -> Page | Frame:
        if in_frame:
            return framed(page, path)
        page.goto(SPACE + path)
        return page

    assert background(at("/login")) == (DARK if system == "dark" else LIGHT)
    studio: Any = at("/")
    see_studio(studio)
    assert background(at("/login")) == DARK, "as the studio is until somebody chooses"
    studio = at("/")
    studio.get_by_role("button", name="Switch to the light theme").click()
    assert background(at("/login")) == LIGHT
    studio = at("/")
    studio.get_by_role("button", name="Switch to the dark theme").click()
    assert background(at("/account")) == DARK
