"""The frame of the screens: keyboard, phones, themes, contrast, the line to the studio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.live import StudioServer

pytestmark = pytest.mark.browser

AA_TEXT = 4.5
"""The least contrast of text in WCAG 2.2, level AA."""
SCREENS = ("workspace", "library", "jobs")

CONTRASTS = """
() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return { rgb: numbers.slice(0, 3), alpha: numbers[3] ?? 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.alpha > 0.99) return colour.rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const box = node.getBoundingClientRect();
    if (!own || !box.width || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (node.closest('.ov-tile, .sr-only, .visually-hidden, :disabled') || getComputedStyle(node).fontSize === '0px')
      continue;
    const [a, b] = [luminance(parse(getComputedStyle(node).color).rgb), luminance(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([node.tagName + '.' + node.className + ': ' + node.textContent.trim().slice(0, 40), ratio]);
  }
  return found;
}
"""


@pytest.fixture(scope="module", autouse=True)
def a_job(studio_server: StudioServer) -> dict[str, Any]:
    """Something to show on every screen."""
    return studio_server.wait_completed(studio_server.submit("a white sailboat on a calm sea at dawn", count=3)["id"])


@pytest.fixture
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        yield context


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    size = {"width": 390, "height": 844}
    with chromium.new_context(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2) as context:
        yield context.new_page()


def visit(page: Page, url: str, path: str = "/") -> None:
    page.goto(url + path)
    expect(page.locator("[role=tab][data-tab-id]").first).to_be_visible(timeout=30_000)
    expect(page.locator(".ov-frame-end button")).to_be_visible()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", SCREENS)
def test_text_is_readable(desk: BrowserContext, studio_server: StudioServer, theme: str, name: str) -> None:
    desk.add_init_script(f"document.cookie = 'studio-theme={theme}; Path=/'")
    page = desk.new_page()
    visit(page, studio_server.url, f"/#{name}")
    shown = {"workspace": ".ov-strip .ov-tile[data-asset]", "library": ".ov-grid .ov-tile", "jobs": ".ov-job"}[name]
    expect(page.locator(shown).first).to_be_visible()
    page.wait_for_timeout(300)  # colours fade for up to 150 ms
    found = page.evaluate(CONTRASTS)
    assert len(found) > 6
    assert [entry for entry in found if entry[1] < AA_TEXT] == []


def test_the_theme_is_switched_and_kept(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    visit(page, studio_server.url)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Switch to the light theme").click()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    visit(page, studio_server.url)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light
    assert page.evaluate("document.body.classList.contains('dark')") is False


def test_the_tab_is_part_of_the_address(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    visit(page, studio_server.url, "/#library")
    expect(page.locator("#library .ov-tile[data-asset]").first).to_be_visible()
    page.locator("#tab-jobs-button").click()
    assert page.url.endswith("#jobs")
    page.reload()
    expect(page.locator("#jobs .ov-job").first).to_be_visible()


def test_everything_is_reached_by_keyboard(
    desk: BrowserContext, studio_server: StudioServer, a_job: dict[str, Any]
) -> None:
    page = desk.new_page()
    visit(page, studio_server.url)
    opener = page.locator(f".ov-strip[data-job='{a_job['id']}'] .ov-tile-open").first
    expect(opener).to_be_visible()
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".ov-viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".ov-viewer")).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "More actions")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Reuse settings")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Use as reference")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(page.locator(":focus")).to_have_attribute("aria-label", "More actions")


def test_every_control_has_a_name(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    script = """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')]
        .filter((node) => node.checkVisibility() && !node.closest('[aria-hidden=true]'))
        .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length))
        .map((node) => node.outerHTML.slice(0, 120))"""
    for name in SCREENS:
        visit(page, studio_server.url, f"/#{name}")
        page.wait_for_timeout(500)
        assert page.evaluate(script) == []


def test_a_phone_has_its_tabs_below_and_nothing_sticks_out(phone: Page, studio_server: StudioServer) -> None:
    visit(phone, studio_server.url)
    expect(phone.locator(".ov-strip .ov-tile[data-asset]").first).to_be_attached()
    bar = phone.locator("#tab-library-button").bounding_box()
    generate = phone.locator("#generate").bounding_box()
    assert bar is not None
    assert generate is not None
    assert bar["y"] > 760, "the tabs lie at the bottom"
    assert bar["y"] - 80 < generate["y"] + generate["height"] <= bar["y"], "Generate sticks right above them"
    for name in SCREENS:
        phone.locator(f"#tab-{name}-button").tap()
        phone.wait_for_timeout(400)
        assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    expect(phone.locator(".ov-table-head")).to_be_hidden()


def test_strips_scroll_sideways_on_a_phone(phone: Page, studio_server: StudioServer, a_job: dict[str, Any]) -> None:
    visit(phone, studio_server.url)
    row = phone.locator(f".ov-strip[data-job='{a_job['id']}'] .ov-tiles")
    expect(row.locator(".ov-tile[data-asset]")).to_have_count(3)
    assert row.evaluate("node => node.scrollWidth > node.clientWidth")


def test_a_lost_line_is_told_and_comes_back(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    page.route("**/api/events*", lambda route: route.abort())
    visit(page, studio_server.url)
    offline = page.get_by_text("Reconnecting…; your jobs go on")
    expect(offline).to_be_visible(timeout=15_000)
    page.unroute("**/api/events*")
    expect(offline).to_be_hidden(timeout=15_000)


def test_a_list_that_cannot_be_had_offers_another_try(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    page.route("**/api/assets?*", lambda route: route.fulfill(status=503, body="{}"))
    visit(page, studio_server.url, "/#library")
    again = page.locator("#library").get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    page.unroute("**/api/assets?*")
    again.click()
    expect(page.locator("#library .ov-tile[data-asset]").first).to_be_visible()


def test_the_first_visit_offers_examples(desk: BrowserContext, studio_server: StudioServer) -> None:
    page = desk.new_page()
    page.route("**/api/jobs?*", lambda route: route.fulfill(json={"items": [], "next": None}))
    visit(page, studio_server.url)
    examples = page.locator(".ov-example")
    expect(examples).to_have_count(3)
    wanted = examples.nth(1).text_content() or ""
    examples.nth(1).click()
    expect(page.locator("#prompt textarea")).to_have_value(wanted)
    expect(page.locator("#prompt textarea")).to_be_focused()
