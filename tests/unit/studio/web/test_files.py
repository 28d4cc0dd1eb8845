"""Conditional requests, ranges and file names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from studio.web.files import (
    RangeNotSatisfiable,
    StoredFile,
    content_disposition,
    file_answer,
    matches_etag,
    parse_range,
)

CONTENT = bytes(range(100))
FILE = StoredFile(
    mime_type="image/png",
    size_bytes=len(CONTENT),
    etag="abc",
    filename="cat.png",
    read=lambda start, end: iter([CONTENT[start : (start + end) // 2], CONTENT[(start + end) // 2 : end]]),
)


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    answer: Response = await file_answer(Request(scope), FILE, cache_control="private")
    await answer(scope, receive, send)


async def ask(method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(serve), base_url="http://localhost") as client:
        return await client.request(
            method, "/", headers={name.replace("_", "-"): text for name, text in headers.items()}
        )


async def test_the_event_loop_does_not_wait_for_the_store() -> None:
    opened_by: list[threading.Thread] = []

    def read(start: int, end: int) -> Iterator[bytes]:
        opened_by.append(threading.current_thread())
        return iter([CONTENT[start:end]])

    scope = {"type": "http", "method": "GET", "headers": []}
    await file_answer(Request(scope), replace(FILE, read=read), cache_control="private")
    assert opened_by
    assert threading.current_thread() not in opened_by


async def test_the_whole_file() -> None:
    answer = await ask()
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-length"] == "100"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == '"abc"'
    assert answer.headers["cache-control"] == "private"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=90-", 90, 100),
        ("bytes=-10", 90, 100),
        ("bytes=95-200", 95, 100),
        ("bytes=-500", 0, 100),
    ],
)
async def test_a_range(asked: str, start: int, end: int) -> None:
    answer = await ask(range=asked)
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=500-600", "bytes=-0"])
async def test_a_range_outside_the_file(asked: str) -> None:
    answer = await ask(range=asked)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "pages=1-2", "bytes=9-3", "bytes=a-b", "bytes=-", "nonsense"])
async def test_a_range_that_is_not_understood_is_ignored(asked: str) -> None:
    answer = await ask(range=asked)
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_head_has_the_headers_alone() -> None:
    answer = await ask("HEAD", range="bytes=0-9")
    assert (answer.status_code, answer.content) == (206, b"")
    assert answer.headers["content-length"] == "10"


@pytest.mark.parametrize("known", ['"abc"', 'W/"abc"', '"x", "abc"', "*"])
async def test_not_modified(known: str) -> None:
    answer = await ask(if_none_match=known)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == '"abc"'


async def test_if_range_of_another_version_sends_everything() -> None:
    assert (await ask(range="bytes=0-9", if_range='"abc"')).status_code == 206
    assert (await ask(range="bytes=0-9", if_range='"old"')).status_code == 200


def test_etags_that_do_not_match() -> None:
    assert not matches_etag(None, "abc")
    assert not matches_etag('"abcd"', "abc")
    assert not matches_etag("abc", "abc")


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 150))
def test_a_parsed_range_lies_inside_the_file(first: int, last: int, size: int) -> None:
    try:
        part = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if part is None:
        assert last < first
    else:
        assert part == (first, min(last + 1, size))


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("cat.png", 'inline; filename="cat.png"'),
        ("ein Käse.png", "inline; filename=\"ein K_se.png\"; filename*=UTF-8''ein%20K%C3%A4se.png"),
        ('a"; x="b.png', "inline; filename=\"a_ x_b.png\"; filename*=UTF-8''a%22%3B%20x%3D%22b.png"),
        ("../../etc/passwd", "inline; filename=\"_.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd"),
        ("a\r\nSet-Cookie: b", "inline; filename=\"a_Set-Cookie_ b\"; filename*=UTF-8''a_Set-Cookie%3A%20b"),
        ("", "inline; filename=\"file\"; filename*=UTF-8''"),
    ],
)
def test_file_names_are_harmless(filename: str, header: str) -> None:
    assert content_disposition(filename, attachment=False) == header
    assert content_disposition(filename, attachment=True) == header.replace("inline", "attachment", 1)
