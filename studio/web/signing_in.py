"""How signing in ends, whichever way somebody came: the form again with what was wrong, or a session and its cookie."""

from __future__ import annotations

from http import HTTPStatus

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from studio.errors import StudioError
from studio.people import Person
from studio.services.sessions import SESSION_LIFE_S
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountDoors
from studio.web.errors import error_response
from studio.web.identity import origin_of
from studio.web.outside import is_framed
from studio.web.pages.rendering import page
from studio.web.pages.routing import see
from studio.web.visitors import wants_page


def sign_in_page(
    request: Request,
    doors: AccountDoors,
    *,
    following: str,
    email: str = "",
    error: StudioError | None = None,
    good: str = "",
) -> Response:
    """The form, with what went wrong or was done."""
    answer = page(
        request,
        "sign_in.html",
        status=HTTPStatus.OK if error is None else error.status,
        next=following,
        email=email,
        error=error,
        good=good,
        signup=doors.signup,
        providers=doors.providers,
        framed=is_framed(request, allowed=doors.identity.cookies.framed),
        guests=doors.identity.mode == "guest",
    )
    return with_retry_after(answer, error)


def with_retry_after(answer: Response, error: StudioError | None) -> Response:
    """`answer`, which says when to come back if `error` does."""
    if error is not None and error.retry_after_s is not None:
        answer.headers["Retry-After"] = error_response(error).headers["Retry-After"]
    return answer


def refused(request: Request, error: StudioError) -> Response | None:
    """The answer of `error` for a program; None for a browser, which gets its page again."""
    return None if wants_page(request.headers) else error_response(error)


async def signed_in(request: Request, doors: AccountDoors, person: Person, following: str) -> Response:
    """Open a session, in the place of the one that this browser had."""
    line = await session_cookie(request, doors, person)
    if wants_page(request.headers):
        return see(following, cookie=line)
    return JSONResponse({"success": True}, headers={"Set-Cookie": line, "Cache-Control": "no-store"})


async def session_cookie(request: Request, doors: AccountDoors, person: Person) -> str:
    """The Set-Cookie line of a new session, in the place of the one that this browser had."""
    await end_session(request, doors)
    token = await to_thread.run_sync(doors.people.sessions.open, person, origin_of(request))
    return doors.identity.cookies.line(request.scope, Cookie.SESSION, token, SESSION_LIFE_S)


async def end_session(request: Request, doors: AccountDoors) -> None:
    """End the session by which `request` comes, if there is one."""
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
