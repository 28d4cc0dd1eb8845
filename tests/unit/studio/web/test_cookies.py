"""How the cookies of sessions and guests are named and guarded."""

from __future__ import annotations

from typing import Any

import pytest

from studio.settings import Settings
from studio.web.cookies import Cookie, CookieRules


def scope(host: str, scheme: str = "http", cookie: str = "") -> dict[str, Any]:
    headers = [(b"host", host.encode())]
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    return {"type": "http", "scheme": scheme, "headers": headers}


def line_parts(rules: CookieRules, asked: dict[str, Any]) -> list[str]:
    return rules.line(asked, Cookie.SESSION, "token", 60).split("; ")


def test_plain_http_gets_a_plain_cookie():
    parts = line_parts(CookieRules(), scope("127.0.0.1:7860"))
    assert parts == ["studio=token", "Path=/", "Max-Age=60", "HttpOnly", "SameSite=Lax"]


def test_https_gets_one_that_nobody_else_can_plant():
    parts = line_parts(CookieRules(), scope("studio.example.org", "https"))
    assert parts == ["__Host-studio=token", "Path=/", "Max-Age=60", "HttpOnly", "Secure", "SameSite=Lax"]


def test_the_public_host_is_https_whatever_its_proxy_speaks():
    rules = CookieRules(public_host="studio.example.org")
    assert rules.is_secure(scope("Studio.example.org"))
    assert not rules.is_secure(scope("127.0.0.1:7860"))


def test_a_framed_studio_gives_its_cookie_to_its_frame_alone():
    rules = CookieRules(framed=True)
    parts = line_parts(rules, scope("ana-studio.hf.space"))
    assert parts[-3:] == ["Secure", "SameSite=None", "Partitioned"]
    assert line_parts(rules, scope("localhost:7860"))[-1] == "SameSite=Lax"


def test_a_request_without_a_host_is_not_taken_for_the_public_one():
    assert not CookieRules().is_secure({"type": "http", "scheme": "http", "headers": []})


@pytest.mark.parametrize(
    ("cookie", "scheme", "value"),
    [
        ("studio=a; studio-guest=b", "http", "a"),
        ("__Host-studio=a", "https", "a"),
        ("studio=planted", "https", None),
        ("__Host-studio=a", "http", None),
        ("studio=", "http", None),
        ("", "http", None),
    ],
)
def test_only_the_cookie_of_its_own_name_is_read(cookie: str, scheme: str, value: str | None):
    assert CookieRules().read(scope("studio.example.org", scheme, cookie), Cookie.SESSION) == value


def test_forgetting_empties_it():
    assert "studio-guest=; Path=/; Max-Age=0" in CookieRules().forget(scope("localhost"), Cookie.GUEST)


def test_rules_follow_the_settings():
    assert CookieRules.from_settings(Settings(public_url="http://a.example")) == CookieRules()
    https = CookieRules.from_settings(Settings(public_url="https://a.example:8443/"))
    assert https == CookieRules(public_host="a.example:8443")
    assert CookieRules.from_settings(Settings(SPACE_ID="ana/studio")).framed
