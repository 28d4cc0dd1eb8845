"""The page of administrators: who may come in, invitations, and what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from studio.errors import StudioError
from studio.people import Person
from studio.services.container import Services
from studio.web.dependencies import AccountDoors, AccountsOf, Administrator, ServicesOf
from studio.web.forms import FormOf
from studio.web.identity import origin_of
from studio.web.links import invitation_url, reset_url
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.pages.usage import limit_fields, limits_of

router = APIRouter(prefix="/people", route_class=PageRoute, include_in_schema=False)

SAVED = {
    "role": "The role is changed.",
    "active": "Done: it holds from the next request on.",
    "deleted": "The account and everything of it is deleted.",
    "withdrawn": "The invitation is taken back.",
    "limits": "The limits are changed. They hold within seconds.",
}
EVENTS_A_PAGE = 50


@dataclass(frozen=True, kw_only=True)
class PeoplePage:
    """Draws the page for one administrator."""

    request: Request
    doors: AccountDoors
    services: Services
    admin: Person

    def draw(
        self, error: StudioError | None = None, *, good: str = "", cursor: str | None = None, **values: Any
    ) -> Response:
        """The page as things stand. Blocks."""
        people, services = self.doors.people, self.services
        accounts = people.accounts.people(self.admin)
        of_people = services.allowances.of_people(self.admin, [one["id"] for one in accounts])
        usage = services.usage.everybody(self.admin)
        events = people.audit.list(self.admin, limit=EVENTS_A_PAGE, cursor=cursor)
        return page(
            self.request,
            "people.html",
            status=200 if error is None else error.status,
            person=self.admin,
            people=accounts,
            limits={user_id: limit_fields(entry) for user_id, entry in of_people.items()},
            roles=[(entry["role"], limit_fields(entry)) for entry in self._roles()],
            usage={one["user_id"]: one for one in usage["items"]},
            month=usage["month"],
            guests=[one for one in usage["items"] if one["role"] == "guest"],
            invitations=people.invitations.list(self.admin),
            signup=self.doors.signup,
            events=events["items"],
            older=events["next"],
            error=error,
            good=good,
            **{"link": None, **values},
        )

    def _roles(self) -> list[dict[str, Any]]:
        return [entry for entry in self.services.allowances.list(self.admin) if entry["user_id"] is None]


def _page(request: Request, doors: AccountsOf, services: ServicesOf, admin: Administrator) -> PeoplePage:
    return PeoplePage(request=request, doors=doors, services=services, admin=admin)


Shown = Annotated[PeoplePage, Depends(_page)]


@router.get("")
def people(shown: Shown, saved: str = "", cursor: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """Everybody with an account, and the latest of the audit."""
    return shown.draw(good=SAVED.get(saved, ""), cursor=cursor)


@router.post("/invite")
def invite(form: FormOf, shown: Shown) -> Response:
    """Make a link for a new account and show it, this once."""
    accounts, email = shown.doors.people.accounts, form.text("email").strip()
    try:
        token = accounts.invite(shown.admin, email or None, form.text("role"), origin_of(shown.request))
    except StudioError as error:
        return shown.draw(error)
    text = f"Send this link to {email}." if email else "Whoever follows this link first gets an account."
    return shown.draw(link={"text": text, "url": invitation_url(shown.request, token)})


@router.post("/invitations/{invitation_id}/withdraw")
def withdraw(invitation_id: str, shown: Shown) -> Response:
    """Take an invitation back."""
    shown.doors.people.accounts.withdraw_invitation(shown.admin, invitation_id, origin_of(shown.request))
    return see("/people?saved=withdrawn")


@router.post("/limits/{subject}")
def set_limits(subject: str, form: FormOf, shown: Shown) -> Response:
    """Set the limits of a role or of one person."""
    allowances, origin = shown.services.allowances, origin_of(shown.request)
    return _done(shown, "limits", lambda: allowances.change(shown.admin, subject, limits_of(form), origin))


@router.post("/{user_id}/role")
def set_role(user_id: str, form: FormOf, shown: Shown) -> Response:
    """Make an account a member or an administrator."""
    accounts = shown.doors.people.accounts
    return _done(
        shown,
        "role",
        lambda: accounts.set_role(shown.admin, user_id, form.text("role"), origin_of(shown.request)),
    )


@router.post("/{user_id}/active")
def set_active(user_id: str, form: FormOf, shown: Shown) -> Response:
    """Shut an account out, or let it in again."""
    accounts, active = shown.doors.people.accounts, form.text("active") == "yes"
    return _done(shown, "active", lambda: accounts.set_active(shown.admin, user_id, active, origin_of(shown.request)))


@router.post("/{user_id}/reset")
def reset(user_id: str, shown: Shown) -> Response:
    """Make a link to a new password and show it, this once."""
    try:
        token = shown.doors.people.accounts.reset_by_admin(shown.admin, user_id, origin_of(shown.request))
    except StudioError as error:
        return shown.draw(error)
    text = "Send this link to whom the account belongs: it leads to a new password."
    return shown.draw(link={"text": text, "url": reset_url(shown.request, token)})


@router.post("/{user_id}/delete")
def delete(user_id: str, shown: Shown) -> Response:
    """Delete an account and everything of it. Takes as long as its running jobs take to stop."""
    accounts = shown.doors.people.accounts
    return _done(shown, "deleted", lambda: accounts.delete(shown.admin, user_id, origin_of(shown.request)))


def _done(shown: PeoplePage, saved: str, change: Callable[[], object]) -> Response:
    """Carry out `change` and show the page again, with what came of it."""
    try:
        change()
    except StudioError as error:
        return shown.draw(error)
    return see(f"/people?saved={saved}")
