"""Signing in, up and out, the first admin and new passwords: pages for browsers, plain answers for programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from studio.errors import InvalidInput, StudioError
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountDoors, AccountsOf, PartsOf
from studio.web.forms import FormOf, own_path, slowly
from studio.web.identity import origin_of
from studio.web.outside import is_framed
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.signing_in import end_session, refused, sign_in_page, signed_in, with_retry_after
from studio.web.visitors import wants_page

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STUDIO = "/"


@router.get("/login")
async def sign_in_form(
    request: Request, parts: PartsOf, following: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The form. In local mode there is nothing to sign in to."""
    if parts.accounts is None:
        return see(STUDIO)
    return sign_in_page(request, parts.accounts, following=own_path(following))


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
        return refused(request, error) or sign_in_page(request, doors, following=following, email=email, error=error)
    return await signed_in(request, doors, person, following)


@router.get("/signup")
async def sign_up_form(
    request: Request, doors: AccountsOf, following: Annotated[str, Query(alias="next")] = "", invitation: str = ""
) -> Response:
    """The form; an `invitation` opens it where sign-up is not open."""
    email = ""
    if invitation:
        email = (await to_thread.run_sync(doors.people.invitations.look, invitation, "invite")).email or ""
    return _sign_up_page(request, doors, following=own_path(following), invitation=invitation, email=email)


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
        return refused(request, error) or _sign_up_page(
            request, doors, following=following, invitation=invitation, email=email, name=name, error=error
        )
    return await signed_in(request, doors, person, following)


@router.get("/logout")
async def sign_out_form(request: Request, _doors: AccountsOf) -> Response:
    """A button: a link alone must sign nobody out."""
    return page(request, "sign_out.html")


@router.post("/logout")
async def sign_out(request: Request, doors: AccountsOf) -> Response:
    """End the session for good and take its cookie away."""
    await end_session(request, doors)
    gone = doors.identity.cookies.forget(request.scope, Cookie.SESSION)
    if wants_page(request.headers):
        return see("/login", cookie=gone)
    return JSONResponse({"success": True}, headers={"Set-Cookie": gone})


@router.get("/setup/{token}")
async def setup_form(request: Request, token: str, doors: AccountsOf) -> Response:
    """The form of the first admin, behind the link that the program printed."""
    await to_thread.run_sync(doors.people.invitations.look, token, "setup")
    return page(request, "setup.html", email="", display_name="")


@router.post("/setup/{token}")
async def set_up(request: Request, token: str, form: FormOf, doors: AccountsOf) -> Response:
    """Make the first admin and sign in."""
    email, name, password = form.text("email"), form.text("display_name"), form.text("password")
    try:
        person = await slowly(
            doors.hashing, doors.people.accounts.redeem_setup, token, email, password, name, origin_of(request)
        )
    except InvalidInput as error:
        return refused(request, error) or page(
            request, "setup.html", status=error.status, email=email, display_name=name, error=error
        )
    return await signed_in(request, doors, person, STUDIO)


@router.get("/reset/{token}")
async def reset_form(request: Request, token: str, doors: AccountsOf) -> Response:
    """The form of a new password, behind the link that an admin gave."""
    facts = await to_thread.run_sync(doors.people.invitations.look, token, "reset")
    return page(request, "reset.html", email=facts.email or "")


@router.post("/reset/{token}")
async def reset(request: Request, token: str, form: FormOf, doors: AccountsOf) -> Response:
    """Set the new password. One signs in with it, which shows that it is known."""
    try:
        await slowly(
            doors.hashing, doors.people.accounts.redeem_reset, token, form.text("password"), origin_of(request)
        )
    except InvalidInput as error:
        return refused(request, error) or page(
            request, "reset.html", status=error.status, email=form.text("username"), error=error
        )
    return sign_in_page(request, doors, following=STUDIO, good="The new password is saved. Sign in with it.")


def _sign_up_page(
    request: Request,
    doors: AccountDoors,
    *,
    following: str,
    invitation: str,
    email: str,
    name: str = "",
    error: StudioError | None = None,
) -> Response:
    answer = page(
        request,
        "sign_up.html",
        status=HTTPStatus.OK if error is None else error.status,
        next=following,
        email=email,
        display_name=name,
        error=error,
        signup=doors.signup,
        invitation=invitation,
        providers=doors.providers,
        framed=is_framed(request, allowed=doors.identity.cookies.framed),
    )
    return with_retry_after(answer, error)
