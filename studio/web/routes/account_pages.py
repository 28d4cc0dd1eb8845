"""One's own account as a page: password, sessions, API keys, one's data, and the end of it all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response

from studio.errors import InvalidInput, StudioError
from studio.people import Person
from studio.services.container import Services
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountDoors, AccountsOf, Acting, Holder, ServicesOf
from studio.web.forms import FormOf, slowly
from studio.web.identity import origin_of
from studio.web.outside import NAMES
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.pages.usage import meters

router = APIRouter(prefix="/account", route_class=PageRoute, include_in_schema=False)

SAVED = {
    "password": "The password is changed, and everywhere else you are signed out.",
    "session": "Signed out there.",
    "key": "The key is revoked: its next call is refused.",
}
"""What a page says after a form, by the word in its address: never a text that the address itself brings."""


@dataclass(frozen=True, kw_only=True)
class AccountPage:
    """Draws the page of one account."""

    request: Request
    doors: AccountDoors
    services: Services
    person: Person

    def draw(self, error: StudioError | None = None, *, good: str = "", place: str = "", **values: Any) -> Response:
        """The page as things stand. `place` names the form that `error` is about. Blocks."""
        people, person = self.doors.people, self.person
        guest = person.role == "guest"
        ways = people.outside.ways_in(person)
        usage = self.services.usage.mine(person)
        return page(
            self.request,
            "account.html",
            status=200 if error is None else error.status,
            person=person,
            has_password="password" in ways,
            providers=[NAMES[way] for way in ways if way in NAMES],
            usage=usage,
            meters=meters(usage),
            labels={name: kind.label for name, kind in self.services.catalog.types.items()},
            sessions=[] if guest else people.sessions.list(person),
            keys=[] if guest else people.api_keys.list(person),
            error=error,
            good=good,
            **{"place": place, "new_key": None, **values},
        )


def _page_of_visitor(request: Request, doors: AccountsOf, services: ServicesOf, person: Acting) -> AccountPage:
    return AccountPage(request=request, doors=doors, services=services, person=person)


def _page_of_holder(request: Request, doors: AccountsOf, services: ServicesOf, person: Holder) -> AccountPage:
    return AccountPage(request=request, doors=doors, services=services, person=person)


VisitorPage = Annotated[AccountPage, Depends(_page_of_visitor)]
HolderPage = Annotated[AccountPage, Depends(_page_of_holder)]


@router.get("")
def account(shown: VisitorPage, saved: str = "") -> Response:
    """The page; guests have one too."""
    return shown.draw(good=SAVED.get(saved, ""))


@router.post("/password")
async def change_password(form: FormOf, shown: HolderPage) -> Response:
    """Change the password. All other sessions end."""
    doors = shown.doors
    old, new, origin = form.text("old"), form.text("new"), origin_of(shown.request)
    try:
        await slowly(doors.hashing, doors.people.accounts.change_password, shown.person, old, new, origin)
    except StudioError as error:
        return await to_thread.run_sync(partial(shown.draw, _renamed(error), place="password"))
    return see("/account?saved=password")


@router.post("/sessions/revoke-others")
def end_other_sessions(shown: HolderPage) -> Response:
    """Sign out everywhere else."""
    people, person = shown.doors.people, shown.person
    people.sessions.revoke_all(person, except_id=person.session_id)
    people.audit.note("sessions_revoked", person, origin_of(shown.request))
    return see("/account?saved=session")


@router.post("/sessions/{session_id}/revoke")
def end_session(session_id: str, shown: HolderPage) -> Response:
    """Sign out one session."""
    people, person = shown.doors.people, shown.person
    people.sessions.revoke(person, session_id)
    people.audit.note("session_revoked", person, origin_of(shown.request), session_id)
    return see("/account?saved=session")


@router.post("/keys")
def make_key(form: FormOf, shown: HolderPage) -> Response:
    """Make a key and show it, this once."""
    keys, person = shown.doors.people.api_keys, shown.person
    try:
        days = _days(form.text("expires_in_days"))
        token, key = keys.create(person, form.text("name"), form.all("scopes"), days, origin_of(shown.request))
    except StudioError as error:
        return shown.draw(error, place="keys")
    return shown.draw(new_key={**key, "token": token})


@router.post("/keys/{key_id}/revoke")
def revoke_key(key_id: str, shown: HolderPage) -> Response:
    """End a key."""
    shown.doors.people.api_keys.revoke(shown.person, key_id, origin_of(shown.request))
    return see("/account?saved=key")


@router.post("/delete")
def delete_account(form: FormOf, shown: HolderPage) -> Response:
    """Delete the account and everything of it. Takes as long as its running jobs take to stop."""
    doors, person = shown.doors, shown.person
    try:
        doors.people.accounts.delete(person, person.id, origin_of(shown.request), form.text("password"))
    except StudioError as error:
        return shown.draw(error, place="delete")
    answer = page(
        shown.request,
        "message.html",
        heading="Your account is deleted",
        text="Your jobs, pictures, films and keys went with it.",
        href="/",
        label="To the studio",
    )
    answer.headers.append("Set-Cookie", doors.identity.cookies.forget(shown.request.scope, Cookie.SESSION))
    return answer


def _renamed(error: StudioError) -> StudioError:
    """The error under the name that its field has on this page."""
    if error.field == "password":
        error.field = "new"
    return error


def _days(text: str) -> float | None:
    """The days in a form's field; None for a key that does not end by itself."""
    if not text:
        return None
    if not text.isdecimal():
        raise InvalidInput("The days that a key lives are a whole number.", field="expires_in_days")
    return float(text[:9])
