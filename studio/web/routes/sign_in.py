"""Signing in, up and out, the first admin and new passwords: pages for browsers, plain answers for programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from studio.errors import InvalidInput, StudioError
from studio.people import Person
from studio.services.sessions import SESSION_LIFE_S
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountDoors, AccountsOf, PartsOf
from studio.web.errors import error_response
from studio.web.forms import FormOf, own_path, slowly
from studio.web.identity import origin_of
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.visitors import wants_page

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STUDIO = "/"


@router.get("/login")
async def sign_in_page(parts: PartsOf, following: Annotated[str, Query(alias="next")] = "") -> Response:
    """The form. In local mode there is nothing to sign in to."""
    if parts.accounts is None:
        return see(STUDIO)
    return _sign_in_page(parts.accounts, following=own_path(following))


@router.post("/login")
@router.post("/login/")
async def sign_in(request: Request, form: FormOf, parts: PartsOf) -> Response:
    """Sign in with `username` (or `email`) and `password`, as gradio_client does too: its answer is 200 with the
    cookie, or 401. A browser goes on to `next`."""
    doors = parts.accounts
    following = own_path(form.text("next"))
    if doors is None:
        return see(STUDIO) if wants_page(request.headers) else JSONResponse({"success": True})
    email = form.text("username") or form.text("email")
    try:
        person = await slowly(
            doors.hashing, doors.people.accounts.sign_in, email, form.text("password"), origin_of(request)
        )
    except StudioError as error:
        return _refused(request, error) or _sign_in_page(doors, following=following, email=email, error=error)
    return await _signed_in(request, doors, person, following)


@router.get("/signup")
async def sign_up_page(
    doors: AccountsOf, following: Annotated[str, Query(alias="next")] = "", invitation: str = ""
) -> Response:
    """The form; an `invitation` opens it where sign-up is not open."""
    email = ""
    if invitation:
        email = (await to_thread.run_sync(doors.people.invitations.look, invitation, "invite")).email or ""
    return _sign_up_page(doors, following=own_path(following), invitation=invitation, email=email)


@router.post("/signup")
async def sign_up(request: Request, form: FormOf, doors: AccountsOf) -> Response:
    """Make an account and sign in to it."""
    following, invitation = own_path(form.text("next")), form.text("invitation")
    email, name = form.text("email") or form.text("username"), form.text("display_name")
    try:
        person = await slowly(
            doors.hashing,
            doors.people.accounts.sign_up,
            email,
            form.text("password"),
            name,
            origin_of(request),
            invitation or None,
        )
    except StudioError as error:
        return _refused(request, error) or _sign_up_page(
            doors, following=following, invitation=invitation, email=email, name=name, error=error
        )
    return await _signed_in(request, doors, person, following)


@router.get("/logout")
async def sign_out_page(_doors: AccountsOf) -> Response:
    """A button: a link alone must sign nobody out."""
    return page("sign_out.html")


@router.post("/logout")
async def sign_out(request: Request, doors: AccountsOf) -> Response:
    """End the session for good and take its cookie away."""
    await _end_session(request, doors)
    gone = doors.identity.cookies.forget(request.scope, Cookie.SESSION)
    if wants_page(request.headers):
        return see("/login", cookie=gone)
    return JSONResponse({"success": True}, headers={"Set-Cookie": gone})


@router.get("/setup/{token}")
async def setup_page(token: str, doors: AccountsOf) -> Response:
    """The form of the first admin, behind the link that the program printed."""
    await to_thread.run_sync(doors.people.invitations.look, token, "setup")
    return page("setup.html", email="", display_name="")


@router.post("/setup/{token}")
async def set_up(request: Request, token: str, form: FormOf, doors: AccountsOf) -> Response:
    """Make the first admin and sign in."""
    email, name, password = form.text("email"), form.text("display_name"), form.text("password")
    try:
        person = await slowly(
            doors.hashing, doors.people.accounts.redeem_setup, token, email, password, name, origin_of(request)
        )
    except InvalidInput as error:
        return _refused(request, error) or page(
            "setup.html", status=error.status, email=email, display_name=name, error=error
        )
    return await _signed_in(request, doors, person, STUDIO)


@router.get("/reset/{token}")
async def reset_page(token: str, doors: AccountsOf) -> Response:
    """The form of a new password, behind the link that an admin gave."""
    facts = await to_thread.run_sync(doors.people.invitations.look, token, "reset")
    return page("reset.html", email=facts.email or "")


@router.post("/reset/{token}")
async def reset(request: Request, token: str, form: FormOf, doors: AccountsOf) -> Response:
    """Set the new password. One signs in with it, which shows that it is known."""
    try:
        await slowly(
            doors.hashing, doors.people.accounts.redeem_reset, token, form.text("password"), origin_of(request)
        )
    except InvalidInput as error:
        return _refused(request, error) or page(
            "reset.html", status=error.status, email=form.text("username"), error=error
        )
    return _sign_in_page(doors, following=STUDIO, good="The new password is saved. Sign in with it.")


def _sign_in_page(
    doors: AccountDoors,
    *,
    following: str,
    email: str = "",
    error: StudioError | None = None,
    good: str = "",
) -> Response:
    answer = page(
        "sign_in.html",
        status=HTTPStatus.OK if error is None else error.status,
        next=following,
        email=email,
        error=error,
        good=good,
        signup=doors.signup,
        providers=doors.providers,
        guests=doors.identity.mode == "guest",
    )
    return _with_retry_after(answer, error)


def _sign_up_page(
    doors: AccountDoors,
    *,
    following: str,
    invitation: str,
    email: str,
    name: str = "",
    error: StudioError | None = None,
) -> Response:
    answer = page(
        "sign_up.html",
        status=HTTPStatus.OK if error is None else error.status,
        next=following,
        email=email,
        display_name=name,
        error=error,
        signup=doors.signup,
        invitation=invitation,
    )
    return _with_retry_after(answer, error)


def _with_retry_after(answer: Response, error: StudioError | None) -> Response:
    if error is not None and error.retry_after_s is not None:
        answer.headers["Retry-After"] = error_response(error).headers["Retry-After"]
    return answer


def _refused(request: Request, error: StudioError) -> Response | None:
    """The answer of `error` for a program; None for a browser, which gets its page again."""
    return None if wants_page(request.headers) else error_response(error)


async def _signed_in(request: Request, doors: AccountDoors, person: Person, following: str) -> Response:
    """Open a session, in the place of the one that this browser had."""
    await _end_session(request, doors)
    token = await to_thread.run_sync(doors.people.sessions.open, person, origin_of(request))
    line = doors.identity.cookies.line(request.scope, Cookie.SESSION, token, SESSION_LIFE_S)
    if wants_page(request.headers):
        return see(following, cookie=line)
    return JSONResponse({"success": True}, headers={"Set-Cookie": line, "Cache-Control": "no-store"})


async def _end_session(request: Request, doors: AccountDoors) -> None:
    token = doors.identity.cookies.read(request.scope, Cookie.SESSION)
    if token is None:
        return
    sessions = doors.people.sessions

    def end() -> None:
        person = sessions.person_of(token)
        if person is not None and person.session_id is not None:
            sessions.revoke(person, person.session_id)
            doors.people.audit.note("sign_out", person, origin_of(request))

    await to_thread.run_sync(end)
