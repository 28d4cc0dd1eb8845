"""Signing in by a provider outside: the way to Hugging Face and back, and tokens of Supabase."""

from __future__ import annotations

import logging
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from studio.errors import NotFound, SignInNeeded, StudioError
from studio.services.invitations import OUTSIDE_LIFE_S
from studio.services.openid import OpenIdProvider
from studio.services.outside_people import AccountExists, OutsideIdentity
from studio.services.outside_tokens import TokenRefused
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountDoors, AccountsOf
from studio.web.forms import FormOf, own_path, slowly
from studio.web.identity import BAD_TOKEN, origin_of
from studio.web.outside import FRAMES, NAMES, Connecting, Leaving, OutsideDoors, is_at
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.signing_in import refused, session_cookie, sign_in_page, signed_in

LOG = logging.getLogger(__name__)

router = APIRouter(prefix="/login", route_class=PageRoute, include_in_schema=False)

NOT_SIGNED_IN = "Hugging Face did not sign you in. Try again, or sign in another way."
ELSEWHERE = "Hugging Face shows its sign-in in no other page. It opens in a tab of its own, and the studio with it."
SIGNED_IN_HERE = (
    "The studio is open to you in this tab. The page where you began shows it in a frame, whose cookies browsers keep "
    "apart: there you stay who you were."
)


async def outside_of(doors: AccountsOf) -> OutsideDoors:
    """The doors for people from outside. Raises NotFound where none is set up."""
    if doors.outside is None:
        raise NotFound("Nobody signs in to this studio from outside.")
    return doors.outside


OutsideOf = Annotated[OutsideDoors, Depends(outside_of)]


async def hugging_face_of(outside: OutsideOf) -> OpenIdProvider:
    """Raises NotFound where it is not set up."""
    if outside.hugging_face is None:
        raise NotFound("Nobody signs in to this studio by Hugging Face.")
    return outside.hugging_face


HuggingFaceOf = Annotated[OpenIdProvider, Depends(hugging_face_of)]


@router.get("/huggingface")
async def leave(
    request: Request,
    doors: AccountsOf,
    outside: OutsideOf,
    provider: HuggingFaceOf,
    *,
    following: Annotated[str, Query(alias="next")] = "/",
    invitation: str = "",
    tab: str = "",
) -> Response:
    """Go there and sign in. `tab` says that the way leads out of another site's frame."""
    following = own_path(following)
    if request.headers.get("sec-fetch-dest") in FRAMES:
        asked = urlencode({"next": following, "invitation": invitation, "tab": "1"})
        href = f"/login/huggingface?{asked}"
        words: dict[str, Any] = {"heading": "Sign in with Hugging Face", "text": ELSEWHERE, "label": "Open the tab"}
        return page(request, "message.html", href=href, new_tab=True, **words)
    if not is_at(request, provider.redirect_uri):  # the way back ends there, where this host's cookies do not go
        there = urlsplit(provider.redirect_uri)._replace(path=request.url.path, query=request.url.query)
        return see(there.geturl())

    def begin() -> tuple[Leaving, str]:
        state = doors.people.outside.begin(origin_of(request))
        leaving = Leaving.anew(state, following=following, invitation=invitation, tab=bool(tab))
        return leaving, provider.sign_in_url(state=state, nonce=leaving.nonce, verifier=leaving.verifier)

    try:
        leaving, url = await slowly(outside.asking, begin)
    except StudioError as error:
        return sign_in_page(request, doors, following=following, error=error)
    kept = outside.leave(leaving)
    return see(url, cookie=doors.identity.cookies.line(request.scope, Cookie.OUTSIDE, kept, OUTSIDE_LIFE_S))


@router.get("/callback")
async def come_back(request: Request, doors: AccountsOf, outside: OutsideOf, provider: HuggingFaceOf) -> Response:
    """The end of the way: whoever has signed in there is signed in here. Nothing that comes along is said again."""
    cookies, asked = doors.identity.cookies, request.query_params

    def end() -> tuple[Leaving, OutsideIdentity]:
        leaving = outside.come_back(cookies.read(request.scope, Cookie.OUTSIDE), asked.get("state", ""))
        if asked.get("iss", provider.issuer) != provider.issuer or "code" not in asked:  # RFC 9207
            raise TokenRefused("the provider answers without a code, or another does")
        return leaving, provider.identity_of(asked["code"], nonce=leaving.nonce, verifier=leaving.verifier)

    try:
        leaving, identity = await slowly(outside.asking, end)
        connecting = Connecting(identity=identity, following=leaving.following)
        answer = await _let_in(request, doors, outside, connecting, leaving)
    except (StudioError, TokenRefused) as error:
        LOG.warning("Refused a sign-in by Hugging Face from %s: %s", origin_of(request).address, error)
        shown = error if isinstance(error, StudioError) else SignInNeeded(NOT_SIGNED_IN)
        answer = sign_in_page(request, doors, following="/", error=shown)
    answer.headers.append("Set-Cookie", cookies.forget(request.scope, Cookie.OUTSIDE))
    return answer


@router.post("/supabase")
async def bring_token(request: Request, form: FormOf, doors: AccountsOf, outside: OutsideOf) -> Response:
    """Sign in with `token`, an access token that Supabase gave to a page of the same people, which sends it as a form.
    A browser goes on to `next`."""
    if outside.supabase is None:
        raise NotFound("Nobody signs in to this studio by Supabase.")
    following = own_path(form.text("next"))
    try:
        identity = await slowly(outside.asking, outside.supabase.identity_of, form.text("token"))
        return await _let_in(request, doors, outside, Connecting(identity=identity, following=following))
    except (StudioError, TokenRefused) as error:
        LOG.warning("Refused a sign-in by Supabase from %s: %s", origin_of(request).address, error)
        shown = error if isinstance(error, StudioError) else SignInNeeded(BAD_TOKEN)
        return refused(request, shown) or sign_in_page(request, doors, following=following, error=shown)


@router.post("/connect")
async def connect(request: Request, form: FormOf, doors: AccountsOf, outside: OutsideOf) -> Response:
    """Show with its `password` that the account of one's address is one's own. From then on the provider opens it."""
    people, origin = doors.people, origin_of(request)
    try:
        connecting = outside.connecting(form.text("carried"))
    except StudioError as error:
        return sign_in_page(request, doors, following="/", error=error)
    identity = connecting.identity
    try:
        person = await slowly(
            doors.hashing, people.accounts.sign_in, identity.email or "", form.text("password"), origin
        )
        await to_thread.run_sync(people.outside.connect, person, identity, origin)
    except StudioError as error:
        return _connect_page(request, outside, connecting, error)
    return await signed_in(request, doors, person, connecting.following)


async def _let_in(
    request: Request, doors: AccountDoors, outside: OutsideDoors, connecting: Connecting, leaving: Leaving | None = None
) -> Response:
    """The session of whoever was signed in, or the question whether an account is theirs. Raises StudioError."""
    invitation = leaving.invitation if leaving else ""
    try:
        person = await to_thread.run_sync(
            doors.people.outside.sign_in, connecting.identity, origin_of(request), invitation or None
        )
    except AccountExists as error:
        return refused(request, error) or _connect_page(request, outside, connecting)
    if leaving is None or not leaving.tab:
        return await signed_in(request, doors, person, connecting.following)
    words: dict[str, Any] = {"heading": "You are signed in", "text": SIGNED_IN_HERE, "label": "To the studio"}
    answer = page(request, "message.html", href=connecting.following, **words)
    answer.headers.append("Set-Cookie", await session_cookie(request, doors, person))
    return answer


def _connect_page(
    request: Request, outside: OutsideDoors, connecting: Connecting, error: StudioError | None = None
) -> Response:
    return page(
        request,
        "connect.html",
        status=AccountExists.status if error is None else error.status,
        email=connecting.identity.email,
        provider=NAMES[connecting.identity.provider],
        carried=outside.ask_to_connect(connecting),
        error=error,
    )
