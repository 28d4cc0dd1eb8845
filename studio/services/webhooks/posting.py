"""One attempt: a signed POST to an address that was looked at, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from studio.services.profiles import printable
from studio.services.webhooks.destinations import Destination, Destinations, Refused, Unresolved
from studio.services.webhooks.signing import headers

ATTEMPT_S = 10.0
"""How long an attempt may take in all, from the name to the answer's status."""
SHOWN_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is sent: `secrets` sign it, the newest first."""

    id: str
    url: str
    payload: Mapping[str, Any]
    secrets: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt. `error` is a sentence, None where the receiver has it; `is_final` says that another
    attempt is of no use, `is_gone` that the receiver wants no more messages at all."""

    status_code: int | None = None
    error: str | None = None
    is_final: bool = False
    is_gone: bool = False
    took_s: float = 0.0


class Poster:
    """Sends messages; an async context manager. Follows no redirect, asks no proxy, and reads no answer's body."""

    def __init__(self, destinations: Destinations, version: str) -> None:
        self._destinations = destinations
        self._agent = f"OurVidzStudio/{version}"
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # No connection is used twice: the next message may be for another host at the same address.
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=ATTEMPT_S,
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=httpx.create_ssl_context(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def send(self, message: Message) -> Outcome:
        """Make one attempt. Never raises for what the address or the network does."""
        began = time.monotonic()
        status: int | None = None
        error: str | None = None
        is_final = False
        try:
            async with asyncio.timeout(ATTEMPT_S):
                destination = await self._destinations.find(message.url)
                status, error = await self._post(destination, message)
        except Refused as refused:
            error, is_final = f"Refused: {refused.message}", True
        except Unresolved as unresolved:
            error = unresolved.message
        except (TimeoutError, httpx.TimeoutException):
            error = f"No answer within {ATTEMPT_S:.0f} seconds."
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
            error = f"The connection failed: {str(failed)[:SHOWN_CHARS] or type(failed).__name__}."
        return Outcome(
            status_code=status,
            error=error,
            is_final=is_final or status == HTTPStatus.GONE,
            is_gone=status == HTTPStatus.GONE,
            took_s=round(time.monotonic() - began, 3),
        )

    async def _post(self, destination: Destination, message: Message) -> tuple[int, str | None]:
        """The answer's status, and what is wrong with it. Raises httpx.HTTPError, OSError."""
        assert self._client is not None, "The poster is used inside its context."
        body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":"))
        signed = headers(message.id, body, message.secrets, datetime.now(UTC))
        *first, last = destination.addresses
        for address in first:
            try:
                return await self._post_to(address, destination.url, body, signed)
            except httpx.ConnectError:
                continue  # a host with several addresses may be reached at another
        return await self._post_to(last, destination.url, body, signed)

    async def _post_to(
        self, address: str, url: httpx.URL, body: str, signed: Mapping[str, str]
    ) -> tuple[int, str | None]:
        assert self._client is not None
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body.encode(),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/json",
                "User-Agent": self._agent,
                **signed,
            },
            # The certificate must be the host's: its name and not its address is asked for and compared.
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        answer = await self._client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code, _what_is_wrong(answer)


def _what_is_wrong(answer: httpx.Response) -> str | None:
    status = answer.status_code
    if answer.is_success:
        return None
    if status == HTTPStatus.GONE:
        return "It answered 410 Gone: it wants no more messages."
    if answer.is_redirect:
        location = printable(answer.headers.get("location", "nowhere"), SHOWN_CHARS)
        return f"Refused: it answered {status} and redirects to {location}. Redirects are not followed."
    return f"It answered {status} {printable(answer.reason_phrase, SHOWN_CHARS)}".rstrip() + "."
