"""The pages of accounts: their words, their colours, and that they load nothing."""

from __future__ import annotations

import re

import pytest
from starlette.requests import HTTPConnection

from studio.ui.static_files import STATIC_DIR
from studio.web.pages.rendering import HERE, LIGHT_QUERY, browser, moment, page


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"(--ov-[a-z-]+): ([^;]+);", css))


def test_the_pages_have_the_colours_of_the_studio():
    pages, studio = (HERE / "pages.css").read_text(), (STATIC_DIR / "studio.css").read_text()
    dark, light = pages.split("@media (prefers-color-scheme: light)")
    light = light.partition("\n}\n")[0]
    studio_dark = colours(studio.partition("}")[0])
    studio_light = colours(studio.partition('[data-theme="light"] {')[2].partition("}")[0])
    assert colours(dark).items() <= studio_dark.items()
    assert colours(light).items() <= studio_light.items()
    assert len(colours(light)) >= 15


@pytest.mark.parametrize("template", sorted(path.name for path in HERE.glob("*.html")))
def test_no_template_carries_a_script_or_a_style_of_its_own(template: str):
    text = (HERE / template).read_text()
    elsewhere = r"https?://(?!www\.w3\.org/2000/svg|example\.org/|…)"
    assert not re.search(rf"<script|javascript:|\son\w+=|\sstyle=|{elsewhere}|url\(|\|\s*safe", text)


def asked_with(cookie: str = "") -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"cookie", cookie.encode())]})


@pytest.mark.parametrize(
    ("cookie", "scheme", "light"),
    [
        ("studio-theme=dark", "dark", "@media not all"),
        ("a=b; studio-theme=light", "light", "@media all"),
        ("", "dark light", LIGHT_QUERY),
        ("studio-theme=</style>", "dark light", LIGHT_QUERY),
    ],
)
def test_pages_follow_the_studios_switch_and_else_the_system(cookie: str, scheme: str, light: str):
    text = bytes(page(asked_with(cookie), "sign_out.html").body).decode()
    assert f'<meta name="color-scheme" content="{scheme}">' in text
    assert f"{light} {{" in text
    assert (LIGHT_QUERY in text) == (light == LIGHT_QUERY)


def test_what_people_wrote_is_escaped():
    values = {"heading": "<i>", "text": "<script>1</script>", "href": '"><b>', "label": "&"}
    text = bytes(page(asked_with(), "message.html", **values).body).decode()
    assert "<script>" not in text
    assert "<i>" not in text
    assert '"><b>' not in text


@pytest.mark.parametrize("value", ["2026-11-23T03:04:05.678Z", 1795403045.678])
def test_moments_are_said_for_people(value: str | float):
    assert moment(value) == "23 Nov 2026, 03:04 UTC"


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Gecko Firefox/140.0", "Firefox on Android"),
        ("python-httpx/0.28.1", "Python"),
        ("made-up/1.0 " + "x" * 100, "made-up/1.0 " + "x" * 28),
        ("", "An unnamed program"),
    ],
)
def test_browsers_are_named(agent: str, shown: str):
    assert browser(agent) == shown
