"""What OpenAPI says of this API beyond each route's own words: who may call it, and every refusal in the one shape.

A route names the refusals that are its own (`refuses(404, 409)`); those that follow from its form are added here: a
body can be unreadable, too long or of another type, a parameter wrong, a caller not signed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from studio.web.cookies import Cookie

Json = dict[str, Any]

SESSION = "session"
API_KEY = "api_key"
SIGNED_IN: list[dict[str, list[str]]] = [{SESSION: []}, {API_KEY: []}]
OPEN_TO_ALL: Json = {"security": []}
"""`openapi_extra` of a route that asks for no sign-in."""
TAGS = [
    {"name": "jobs", "description": "Order pictures and films, follow them, stop them, try again."},
    {"name": "assets", "description": "The library: finished pictures and films."},
    {"name": "projects", "description": "Named shelves for jobs and assets."},
    {"name": "uploads", "description": "Pictures to start from, and masks."},
    {"name": "media", "description": "The files themselves, whole or in ranges."},
    {"name": "account", "description": "Oneself: sessions, API keys, one's data."},
    {"name": "webhooks", "description": "Signed messages to an address of one's own when a job ends."},
    {"name": "admin", "description": "For administrators of the studio."},
    {"name": "workers", "description": "For workers on other machines, where the studio lets them in."},
    {"name": "system", "description": "Health and figures."},
]
"""In the order in which they are shown; a tag that is not here comes last."""
METHODS = ("get", "post", "put", "patch", "delete")
CHANGES = frozenset({"post", "put", "patch", "delete"})
RETRY_AFTER: Json = {
    "Retry-After": {"description": "seconds until it is worth another try", "schema": {"type": "string"}}
}
DESCRIPTIONS = {
    400: "The body is no JSON",
    401: "Nobody is signed in, or the key does not hold",
    403: "The role or the key does not go so far, or a foreign page asks",
    404: "There is no such thing, or it is somebody else's",
    409: "Things stand in a way that does not allow it",
    413: "The body, or the picture in it, is too large",
    415: "The body, or the file in it, is of a type that is not taken here",
    416: "The range lies outside the file",
    422: "Something in the request cannot be done; `field` says what",
    429: "Too much at once, or a quota is used up",
    500: "Something nobody foresaw; the message names the incident in the log",
    503: "A model, the storage or the studio itself is not available just now",
}


def refuses(*statuses: int) -> dict[int | str, Json]:
    """The `responses` of a route that answers with these refusals besides those that follow from its form."""
    return {status: _refusal(status) for status in statuses}


class DescribedApp(FastAPI):
    """An app whose OpenAPI document is as `describe` makes it, once."""

    def __init__(self, *, has_accounts: bool, **rest: Any) -> None:
        super().__init__(**rest)
        self._has_accounts = has_accounts

    def openapi(self) -> Json:
        """The document."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self, has_accounts=self._has_accounts)
        return self.openapi_schema


def describe(app: FastAPI, *, has_accounts: bool) -> Json:
    """The whole document of `app`. Where there are no accounts nobody has to sign in."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["tags"] = list(_tags(document))
    components = document["components"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape, which never leaves the studio
        components["schemas"].pop(name, None)
    if has_accounts:
        components["securitySchemes"] = {
            SESSION: {"type": "apiKey", "in": "cookie", "name": Cookie.SESSION.value, "description": _SESSION},
            API_KEY: {"type": "http", "scheme": "bearer", "description": "An API key of /api/keys"},
        }
        document["security"] = SIGNED_IN
    for method, operation in operations(document):
        for status in _implied(method, operation, has_accounts=has_accounts):
            operation["responses"][str(status)] = _refusal(status)
        operation["responses"] = dict(sorted(operation["responses"].items()))
    return document


def _tags(document: Json) -> Iterator[Json]:
    """The tags in use."""
    used = {name for _, operation in operations(document) for name in operation["tags"]}
    yield from (tag for tag in TAGS if tag["name"] in used)
    yield from ({"name": name} for name in sorted(used - {tag["name"] for tag in TAGS}))


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Every operation of an OpenAPI document with its method."""
    for path in document["paths"].values():
        yield from ((method, path[method]) for method in METHODS if method in path)


_SESSION = "The cookie of POST /login; over https its name has the prefix __Host-"


def _refusal(status: int) -> Json:
    answer: Json = {
        "description": DESCRIPTIONS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
    }
    return {**answer, "headers": RETRY_AFTER} if status == 429 else answer


def _implied(method: str, operation: Json, *, has_accounts: bool) -> Iterator[int]:
    """The refusals that follow from the form of an operation."""
    body, parameters = operation.get("requestBody"), operation.get("parameters", [])
    yield 403  # another host's name, or another site's page
    yield 422  # a NUL in the address, where nothing else can be wrong
    yield 500
    if has_accounts and operation.get("security") != []:
        yield 401
    if any(parameter["in"] == "path" for parameter in parameters):
        yield 404
    if body is not None:
        yield from (400, 413, 415)
    elif method in CHANGES:
        yield from (413, 415)  # of a body that nobody asked for
