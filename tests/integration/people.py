"""People who sign in to a small studio with accounts, by its pages as a browser does or as a program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from studio.people import Origin, Person
from tests.integration.small_studio import ServedStudio, SmallStudio

PASSWORD = "correct horse battery"  # not in any list
BROWSER = {"accept": "text/html,application/xhtml+xml", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
HERE = Origin(address="127.0.0.1", agent="tests")


def make_admin(studio: SmallStudio, email: str = "admin@example.org") -> Person:
    """The studio's first admin, as the settings make one."""
    assert studio.accounts is not None
    accounts = studio.accounts.people.accounts
    assert accounts.first_admin(email, PASSWORD) is None
    return accounts.sign_in(email, PASSWORD, HERE)


@contextmanager
def visitor(served: ServedStudio, **headers: str) -> Iterator[httpx.Client]:
    """A browser that nobody has signed in with, following no redirect."""
    with httpx.Client(base_url=served.url, headers={**BROWSER, **headers}, timeout=60) as browser:
        yield browser


def sign_up(browser: httpx.Client, email: str, name: str = "Ana") -> None:
    """Make an account with the form, which signs in."""
    form = {"email": email, "password": PASSWORD, "display_name": name}
    answer = browser.post("/signup", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text


def sign_in(browser: httpx.Client, email: str, password: str = PASSWORD) -> httpx.Response:
    """Send the sign-in form."""
    return browser.post("/login", data={"username": email, "password": password})


def notice(answer: httpx.Response) -> str:
    """What a page says went wrong or was done."""
    found = re.search(r'<p class="notice[^>]*>([^<]*)</p>', answer.text)
    return found[1] if found else ""


def secret(answer: httpx.Response) -> str:
    """The key or link that a page shows once."""
    found = re.search(r'<code class="secret">([^<]+)</code>', answer.text)
    assert found, answer.text
    return found[1].replace("&amp;", "&")
