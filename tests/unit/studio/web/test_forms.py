"""Where people are led after a form."""

from __future__ import annotations

import pytest

from studio.web.forms import own_path


@pytest.mark.parametrize("path", ["/", "/?asset=7", "/account#keys", "/a//b"])
def test_addresses_of_the_studio_stay(path: str):
    assert own_path(path) == path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "",
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\/evil",
        "/a\\b",
        "/\n/evil",
        "javascript:1",
        "account",
    ],
)
def test_anything_else_becomes_the_studio(elsewhere: str):
    assert own_path(elsewhere) == "/"
