"""What stands between the network and Gradio: nobody passes without a name, and nothing passes that the screens and the
Python client do not use.

Gradio itself keeps people apart by secrets: whoever knows a session hash, an event id or a path may read, cancel or
close what belongs to it, some of it without signing in. Here every session hash is made the person's own before
Gradio sees it, so that another's cannot even be named; an event is only for the person who began it; and uploads lie in
folders of one person each. What is another person's answers exactly like what never was.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.errors import InvalidInput, NotFound, StudioError, UnsupportedMedia
from studio.people import Person
from studio.services.container import PersonFor
from studio.web.client_uploads import ClientUploads
from studio.web.content_security import gradio_page_policy
from studio.web.errors import error_response
from studio.web.gradio_uploads import read_files
from studio.web.security import too_large

PREFIX = "/gradio_api"
PERSON_KEY = "user"
"""Where the person stands in the scope, for Gradio's `auth_dependency`: where Starlette keeps a request's user."""
MAX_EVENT_BYTES = 1024 * 1024
"""The body of an event: an order's texts and what its component shows, several times over."""
KEPT_EVENTS = 20_000
"""Events whose owner is remembered: twice what Gradio's queue takes."""
SMALLEST_PACKED_BYTES = 1024
PATH_IN_JSON = b'"path"'
NOTHING_HERE = "There is nothing at this address."
PUBLIC = re.compile(rf"/(?:assets|static)/.+|(?:{PREFIX})?/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json")
"""Gradio's own files, the same for everybody. Read without a name, so that they may be shown before the sign-in."""

Door = Callable[["Visit", "re.Match[str]"], Awaitable[None]]


class Visit:
    """One request of `person` on its way to Gradio."""

    def __init__(self, person: Person, scope: Scope, receive: Receive, send: Send) -> None:
        self.person = person
        self.scope: Scope = {**scope, PERSON_KEY: person}
        self.receive = receive
        self.send = send

    def session(self, name: object) -> str:
        """The person's own session that the client calls `name`. Nobody else's can come out."""
        return f"{self.person.id}.{name}"

    def say(self, *, path: str | None = None, query: Mapping[str, str] | None = None) -> None:
        """Ask Gradio for another path or with another query than the client did."""
        if path is not None:
            self.scope["path"] = path
            self.scope["raw_path"] = quote(path).encode()
        if query is not None:
            self.scope["query_string"] = urlencode(query).encode()

    async def json(self) -> dict[str, Any]:
        """The body, a JSON object of bounded size."""
        if Headers(scope=self.scope).get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMedia("Send this as application/json.")
        pieces, length = [], 0
        async for piece in Request(self.scope, self.receive).stream():
            pieces.append(piece)
            length += len(piece)
            if length > MAX_EVENT_BYTES:
                raise too_large(MAX_EVENT_BYTES)
        try:
            body = json.loads(b"".join(pieces))
        except (ValueError, RecursionError):
            raise InvalidInput("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidInput("The body is not a JSON object.")
        return body

    def carry(self, body: Mapping[str, Any]) -> None:
        """Give Gradio `body` in the place of the client's."""
        text = json.dumps(body).encode()
        headers = MutableHeaders(raw=list(self.scope["headers"]))
        headers["content-length"] = str(len(text))
        del headers["transfer-encoding"]
        self.scope["headers"] = headers.raw
        self.receive = _replay(text, self.receive)

    async def answer(self, response: Response) -> None:
        """Answer in Gradio's stead."""
        await response(self.scope, self.receive, self.send)


class GradioDoors:
    """ASGI app around Gradio's. Belongs to one event loop."""

    def __init__(self, app: ASGIApp, *, person_for: PersonFor, uploads: ClientUploads, framed_by: str) -> None:
        self.app = app
        self._person_for = person_for
        self._uploads = uploads
        self._framed_by = framed_by
        self._owners: OrderedDict[str, str] = OrderedDict()
        # The lanes, run_<name>, are the studio's own: its tickets do not come this way.
        name, event = r"(?!run_)[A-Za-z0-9_-]{1,100}", r"(?P<event>[A-Za-z0-9_-]{1,100})"
        self._doors: tuple[tuple[str, re.Pattern[str], Door], ...] = (
            ("GET", re.compile(r"/"), self._page),
            ("GET", re.compile(rf"/config/?|{PREFIX}/(?:info|app_id)/?"), self._without_query),
            ("POST", re.compile(rf"{PREFIX}/run/predict"), self._at_once),
            ("POST", re.compile(rf"{PREFIX}/queue/join"), self._begin),
            ("POST", re.compile(rf"{PREFIX}/call/(?:v2/)?{name}/?"), self._begin),
            ("GET", re.compile(rf"{PREFIX}/call/(?:v2/)?{name}/{event}"), self._result),
            ("GET", re.compile(rf"{PREFIX}/queue/data"), self._messages),
            ("GET", re.compile(rf"{PREFIX}/heartbeat/(?P<session>[^/]{{1,100}})"), self._heartbeat),
            ("POST", re.compile(rf"{PREFIX}/(?:cancel|reset/?)"), self._end),
            ("POST", re.compile(rf"{PREFIX}/upload"), self._upload),
            ("GET", re.compile(rf"{PREFIX}/file=(?P<path>.+)"), self._file),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "closed"})
            return
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method == "GET" and PUBLIC.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            person = await to_thread.run_sync(self._person_for, HTTPConnection(scope))
            door, found = self._door(method, scope["path"])
            await door(Visit(person, scope, receive, send), found)
        except StudioError as error:
            await error_response(error)(scope, receive, send)

    def _door(self, method: str, path: str) -> tuple[Door, re.Match[str]]:
        for wanted, pattern, door in self._doors:
            if wanted == method and (found := pattern.fullmatch(path)):
                return door, found
        raise NotFound(NOTHING_HERE)

    async def _pass(self, visit: Visit) -> None:
        await self.app(visit.scope, visit.receive, _private(visit.send))

    async def _without_query(self, visit: Visit, _found: re.Match[str]) -> None:
        # The query could ask for endpoints that are not for clients, or for a page as somebody left it.
        visit.say(query={})
        await self._pass(visit)

    async def _page(self, visit: Visit, found: re.Match[str]) -> None:
        if visit.scope["method"] == "HEAD":
            await self._without_query(visit, found)
            return
        visit.say(query={})
        status, headers, body = await _whole_answer(self.app, visit)
        policy = gradio_page_policy(body.decode(), self._framed_by)
        response = Response(body, status, {"Content-Type": headers.get("content-type", "text/html; charset=utf-8")})
        response.headers["Content-Security-Policy"] = policy
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["Vary"] = "Accept-Encoding"
        if "gzip" in Headers(scope=visit.scope).get("accept-encoding", "") and len(body) > SMALLEST_PACKED_BYTES:
            response.body = await to_thread.run_sync(gzip.compress, body, 4)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(response.body))
        await visit.answer(response)

    async def _at_once(self, visit: Visit, _found: re.Match[str]) -> None:
        """An event that does not wait in the queue: every click on the screens. The files that its answer names are
        this person's to see."""
        await self._carry_event(visit)
        status, headers, text = await _whole_answer(self.app, visit)
        if status == HTTPStatus.OK and PATH_IN_JSON in text:
            for path in _named_files(json.loads(text)):
                self._uploads.show(visit.person.id, path)
        await visit.answer(_plain_answer(status, headers, text))

    async def _begin(self, visit: Visit, _found: re.Match[str]) -> None:
        """An event for the queue: from now on it is this person's."""
        await self._carry_event(visit)
        status, headers, text = await _whole_answer(self.app, visit)
        if status == HTTPStatus.OK:
            self._owners[json.loads(text)["event_id"]] = visit.person.id
            while len(self._owners) > KEPT_EVENTS:
                self._owners.popitem(last=False)
        await visit.answer(_plain_answer(status, headers, text))

    async def _carry_event(self, visit: Visit) -> None:
        body = await visit.json()
        await to_thread.run_sync(self._check_files, visit.person, body)
        if "/call/v2/" not in visit.scope["path"]:  # whose body holds the arguments alone
            body["session_hash"] = visit.session(body.get("session_hash") or secrets.token_hex(16))
        visit.carry(body)

    def _check_files(self, person: Person, body: Mapping[str, Any]) -> None:
        """Refuse a body that names a file which that person did not upload."""
        for path in _named_files(body):
            if self._uploads.holds(person.id, path) is None:
                raise NotFound("There is no such upload of yours. Send the file itself, with handle_file(path).")

    async def _result(self, visit: Visit, found: re.Match[str]) -> None:
        self._check_event(visit.person, found["event"])
        await self._pass(visit)

    async def _messages(self, visit: Visit, _found: re.Match[str]) -> None:
        asked = parse_qs(visit.scope["query_string"].decode("latin-1")).get("session_hash")
        if asked is None:
            raise InvalidInput("Say which session: session_hash.", field="session_hash")
        visit.say(query={"session_hash": visit.session(asked[-1])})
        await self._pass(visit)

    async def _heartbeat(self, visit: Visit, found: re.Match[str]) -> None:
        visit.say(path=f"{PREFIX}/heartbeat/{visit.session(found['session'])}", query={})
        await self._pass(visit)

    async def _end(self, visit: Visit, _found: re.Match[str]) -> None:
        body = await visit.json()
        self._check_event(visit.person, body.get("event_id"))
        if "session_hash" in body:
            body["session_hash"] = visit.session(body["session_hash"])
        visit.carry(body)
        await self._pass(visit)

    def _check_event(self, person: Person, event: object) -> None:
        if not isinstance(event, str) or self._owners.get(event) != person.id:
            raise NotFound("There is no such event.")

    async def _upload(self, visit: Visit, _found: re.Match[str]) -> None:
        async with read_files(Request(visit.scope, visit.receive)) as files:
            kept = await to_thread.run_sync(self._uploads.keep, visit.person.id, files)
        await visit.answer(JSONResponse([str(path) for path in kept]))

    async def _file(self, visit: Visit, found: re.Match[str]) -> None:
        file = await to_thread.run_sync(self._uploads.holds, visit.person.id, found["path"])
        if file is None:
            raise NotFound("There is no such file.")
        headers = {"Cache-Control": "private, no-store"}
        await visit.answer(
            FileResponse(file, headers=headers, media_type="application/octet-stream", filename=file.name)
        )


def _named_files(value: object) -> Iterator[str]:
    """Every path in `value` that Gradio could take for a file's."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("path"), str):
                yield one["path"]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _replay(body: bytes, after: Receive) -> Receive:
    """Receives `body`, then whatever comes after a body: that the client has gone."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _whole_answer(app: ASGIApp, visit: Visit) -> tuple[int, Headers, bytes]:
    """Status, headers and body of Gradio's answer, unpacked."""
    start: Message = {}
    pieces: list[bytes] = []

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            pieces.append(message.get("body", b""))

    plain = [(name, value) for name, value in visit.scope["headers"] if name.lower() != b"accept-encoding"]
    await app({**visit.scope, "headers": plain}, visit.receive, collect)
    return start["status"], Headers(raw=list(start["headers"])), b"".join(pieces)


def _plain_answer(status: int, headers: Headers, text: bytes) -> Response:
    """Gradio's answer, read whole, for nobody's cache."""
    private = {"Cache-Control": "private, no-store"}
    return Response(text, status, private, media_type=headers.get("content-type"))


def _private(send: Send) -> Send:
    """`send` that forbids every cache between here and the person to keep the answer."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            headers["Cache-Control"] = "private, no-store"
            message = {**message, "headers": headers.raw}
        await send(message)

    return answer
