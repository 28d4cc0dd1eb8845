"""People's accounts in a real browser, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import (
    LOGIN,
    OpenBrowser,
    new_address,
    painted,
    register,
    see_studio,
    sign_in,
)
from tests.integration.people import PASSWORD, make_admin

pytestmark = pytest.mark.browser

OTHER_PASSWORD = "four white sails at noon"  # not in any list


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    with PaintedStudio(tmp_path_factory.mktemp("people"), mode="accounts").serving() as served:
        make_admin(served.studio)
        yield served


def sign_up(page: Page, url: str, email: str) -> None:
    page.goto(url)
    page.wait_for_url(LOGIN)
    page.get_by_role("link", name="Create one").click()
    page.get_by_label("Your name").fill("Ana Boat")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()


def account(page: Page) -> Locator:
    """The way to one's account in the studio's header."""
    return page.get_by_role("link", name="account and sign-out")


def notice(page: Page) -> Locator:
    return page.locator(".notice")


def sticks_out(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wider)


def signed_in(context: BrowserContext) -> list[str]:
    """The cookies by which the browser is signed in; the studio leaves another one for its theme."""
    return [one.get("name", "") for one in context.cookies() if one.get("name") != "studio-theme"]


def card(page: Page, heading: str) -> Locator:
    return page.locator("section.card", has=page.get_by_role("heading", name=heading, exact=True))


def test_sign_up_leads_into_the_studio_and_its_header_to_the_account(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    page = open_browser(size).new_page()
    email = new_address()
    sign_up(page, studio.url, email)
    see_studio(page)
    assert sticks_out(page) == 0
    expect(account(page)).to_have_text("A")
    account(page).click()
    page.wait_for_url("**/account")
    expect(page.get_by_role("heading", name="Ana Boat")).to_be_visible()
    expect(page.get_by_text(f"{email} · member")).to_be_visible()
    assert sticks_out(page) == 0


def test_an_address_that_is_taken_or_a_short_password_makes_no_account(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    context = open_browser(size)
    page = context.new_page()
    sign_up(page, studio.url, register(studio))
    expect(notice(page)).to_be_visible()
    expect(page.get_by_label("Your name")).to_have_value("Ana Boat")
    assert sticks_out(page) == 0
    page.get_by_label("Email").fill(new_address())
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.locator("input:invalid")).to_have_attribute("name", "password")
    assert context.cookies() == []


def test_a_wrong_password_is_told_and_the_right_one_leads_in_and_sign_out_out(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    context = open_browser(size)
    page = context.new_page()
    email = register(studio)
    sign_in(page, studio.url, email, "wrong" + PASSWORD)
    expect(notice(page)).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(email)
    assert (sticks_out(page), context.cookies()) == (0, [])

    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    see_studio(page)
    kept = context.cookies()

    account(page).click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(LOGIN)
    assert signed_in(context) == []
    context.add_cookies([{"name": one["name"], "value": one["value"], "url": studio.url} for one in kept])
    page.goto(studio.url)
    page.wait_for_url(LOGIN)


def test_a_new_password_ends_the_other_browsers_and_the_old_password(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    email = register(studio)
    page, elsewhere = open_browser(size).new_page(), open_browser().new_page()
    for one in (page, elsewhere):
        sign_in(one, studio.url, email, path="/login?next=/account")
        one.wait_for_url("**/account")
    page.reload()
    expect(card(page, "Where you are signed in").get_by_role("listitem")).to_have_count(2)

    passwords = card(page, "Password")
    passwords.get_by_label("Current password").fill("wrong" + PASSWORD)
    passwords.get_by_label("New password").fill(OTHER_PASSWORD)
    passwords.get_by_role("button", name="Change password").click()
    expect(page.locator(".notice.bad")).to_be_visible()
    passwords.get_by_label("Current password").fill(PASSWORD)
    passwords.get_by_label("New password").fill(OTHER_PASSWORD)
    passwords.get_by_role("button", name="Change password").click()
    expect(page.locator(".notice.good")).to_contain_text("The password is changed")
    expect(card(page, "Where you are signed in").get_by_role("listitem")).to_have_count(1)

    elsewhere.reload()
    elsewhere.wait_for_url(LOGIN)
    sign_in(elsewhere, studio.url, email)
    expect(notice(elsewhere)).to_be_visible()
    sign_in(elsewhere, studio.url, email, OTHER_PASSWORD)
    see_studio(elsewhere)


def test_a_key_is_shown_once_opens_the_api_and_ends_when_it_is_revoked(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    page = open_browser(size).new_page()
    email = register(studio)
    sign_in(page, studio.url, email, path="/login?next=/account")
    keys = card(page, "API keys")
    keys.get_by_label("Name of a new key").fill("Notebook")
    keys.get_by_role("button", name="Make a key").click()
    token = page.locator("code.secret").inner_text()
    assert token.startswith("ovz_")
    assert sticks_out(page) == 0
    me = httpx.get(f"{studio.url}/api/me", headers={"Authorization": f"Bearer {token}"}).raise_for_status().json()
    assert (me["email"], me["scopes"]) == (email, ["generate", "read"])

    page.goto(f"{studio.url}/account")
    expect(keys.get_by_role("listitem")).to_contain_text("Notebook")
    assert token not in page.content()
    keys.get_by_role("button", name="Revoke Notebook").click()
    expect(page.locator(".notice.good")).to_contain_text("revoked")
    expect(keys.get_by_text("You have no keys yet.")).to_be_visible()
    assert httpx.get(f"{studio.url}/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_deleted_account_is_gone_with_its_pictures(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    context = open_browser(size)
    page = context.new_page()
    email = register(studio)
    media = studio.folder / "media"
    before = [path for path in media.rglob("*") if path.is_file()]
    sign_in(page, studio.url, email)
    painted(page, "a green boat")
    assert len([path for path in media.rglob("*") if path.is_file()]) >= len(before) + 6
    page.goto(f"{studio.url}/account")
    end = card(page, "Delete your account")
    end.get_by_text("Delete…").click()
    end.get_by_label("Your password").fill("wrong" + PASSWORD)
    end.get_by_role("button", name="Delete my account").click()
    expect(page.locator(".notice.bad")).to_be_visible()
    end.get_by_label("Your password").fill(PASSWORD)
    end.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("heading", name="Your account is deleted")).to_be_visible()
    assert signed_in(context) == []
    sign_in(page, studio.url, email)
    expect(notice(page)).to_be_visible()
    assert [path for path in media.rglob("*") if path.is_file()] == before


def test_the_account_pages_need_no_script(open_browser: OpenBrowser, studio: PaintedStudio, size: str) -> None:
    page = open_browser(size, java_script_enabled=False).new_page()
    page.goto(f"{studio.url}/account")
    page.wait_for_url(LOGIN)
    page.get_by_role("link", name="Create one").click()
    page.get_by_label("Your name").fill("Ana Boat")
    page.get_by_label("Email").fill(new_address())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/account")
    page.get_by_label("Name of a new key").fill("Notebook")
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("code.secret")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(LOGIN)


def test_an_admin_lets_people_in_and_a_member_has_no_such_page(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str
) -> None:
    page = open_browser(size).new_page()
    sign_in(page, studio.url, "admin@example.org", path="/login?next=/people")
    page.get_by_label("Their email").fill(invited := new_address())
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("code.secret").inner_text()
    assert sticks_out(page) == 0

    guest = open_browser(size).new_page()
    guest.goto(link)
    expect(guest.get_by_label("Email")).to_have_value(invited)
    guest.get_by_label("Your name").fill("Ben")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Create account").click()
    see_studio(guest)
    answer = guest.goto(f"{studio.url}/people")
    assert answer is not None
    assert answer.status == 403
    expect(guest.get_by_text(invited)).to_have_count(0)
    page.goto(f"{studio.url}/people")
    expect(page.get_by_text(invited).first).to_be_visible()
