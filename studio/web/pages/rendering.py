"""Turns the templates of this folder into answers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import HTTPConnection

from studio.web.pages.usage import gpu_time, money, stored

HERE = Path(__file__).parent
THEME_COOKIE = "studio-theme"
"""Where the switch in the studio's header (`appearance.js`) leaves what was chosen."""
LIGHT_QUERY = "@media (prefers-color-scheme: light)"
"""Under which `pages.css` has the light colours; a choice takes the place of the system's."""
BY_SYSTEM = ("dark light", LIGHT_QUERY)
THEMES = {"dark": ("dark", "@media not all"), "light": ("light", "@media all")}
"""For each theme: the scheme that the browser's own controls take, and when the light colours hold."""
PASSWORD_HINT = "8 characters or more. A sentence is easy to remember and hard to guess."  # noqa: S105
BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("python-httpx", "Python"),
    ("curl/", "curl"),
)
"""What marks a browser in User-Agent, the more particular mark first, since they name each other."""
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def page(request: HTTPConnection, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of `template`, never kept by the browser and without any script, in the colours that the person has
    chosen in the studio.

    `error` among the values is a StudioError to be shown, `good` a sentence that something was done.
    """
    theme = request.cookies.get(THEME_COOKIE, "")
    scheme, asked = THEMES.get(theme, BY_SYSTEM)
    css = Markup(_style().replace(LIGHT_QUERY, asked))  # noqa: S704
    text = (
        _environment()
        .get_template(template)
        .render({"error": None, "good": "", "is_local": False, "css": css, "scheme": scheme, **values})
    )
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


@cache
def _style() -> str:
    return (HERE / "pages.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["password_hint"] = PASSWORD_HINT
    environment.filters["moment"] = moment
    environment.filters["browser"] = browser
    environment.filters["gpu_time"] = gpu_time
    environment.filters["stored"] = stored
    environment.globals["money"] = money
    return environment


def moment(value: str | float) -> str:
    """A time, ISO 8601 or seconds since 1970, as people read it."""
    known = datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else datetime.fromisoformat(value)
    return known.astimezone(UTC).strftime("%-d %b %Y, %H:%M UTC")


def browser(agent: str) -> str:
    """What a User-Agent says in a word or two, such as "Firefox on Linux"; the beginning of one that is not known."""
    name = next((shown for mark, shown in BROWSERS if mark in agent), None)
    system = next((shown for mark, shown in SYSTEMS if mark in agent), None)
    if name is None:
        return agent[:40] or "An unnamed program"
    return f"{name} on {system}" if system else name
