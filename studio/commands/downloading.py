"""Fetch files of the hub so that an interruption costs nothing: a part of a file stays, and the rest is asked for.

huggingface_hub keeps whole files only (since 2.x each download has a temporary file of its own, deleted in the end),
and the files in question have 5 GB. So the files lie here; the transfer itself is the library's.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, cast

import httpx2
from huggingface_hub import get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils.tqdm import tqdm

from studio.commands.hub import HubCheckpoint, HubFile, PullFailed, why_not

logger = logging.getLogger(__name__)

PARALLEL_FILES = 4
"""Files fetched at once: one connection seldom fills a data centre's line."""
TRIES = 5
"""How often a transfer that brings nothing is begun before the pull ends."""
PAUSE_S = 1.0
"""How long a broken connection rests before it is taken up again; then twice that."""
LOGGED_INTERVAL_S = 30.0
"""How often the bar is written where no person watches it, such as a container's log."""
FIRST_SERVER_ERROR = 500
_PARTIAL = ".partial"


def download(checkpoint: HubCheckpoint, folder: Path) -> None:
    """Bring the files of `checkpoint` into `folder`, going on from whatever is there.

    Raises PullFailed or OSError at the first file that cannot be had; transfers under way are left to the end of the
    program then, as after Ctrl+C.
    """
    bar_class = cast(Any, tqdm)  # it has no annotations
    with bar_class(
        total=checkpoint.bytes,
        initial=present_bytes(checkpoint, folder),
        desc=checkpoint.hub_id,
        unit="B",
        unit_scale=True,
        mininterval=0.1 if sys.stderr.isatty() else LOGGED_INTERVAL_S,
        disable=False,
    ) as bar:
        share = _Share(bar)
        waiting = deque(checkpoint.files)
        outcomes: SimpleQueue[Exception | None] = SimpleQueue()

        def work() -> None:
            try:
                while (file := _next(waiting)) is not None:
                    _fetch(checkpoint, file, folder, share)
            except Exception as error:  # whatever it is: the thread that waits raises it
                outcomes.put(error)
            else:
                outcomes.put(None)

        for _ in range(PARALLEL_FILES):
            # Daemons: a transfer that waits for a dead network must not keep the program from ending.
            Thread(target=work, daemon=True).start()
        for _ in range(PARALLEL_FILES):
            if (error := outcomes.get()) is not None:
                raise error


def present_bytes(checkpoint: HubCheckpoint, folder: Path) -> int:
    """How much of `checkpoint` is in `folder` already, in bytes."""
    return sum(_present(file, folder) for file in checkpoint.files)


def _next(waiting: deque[HubFile]) -> HubFile | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _present(file: HubFile, folder: Path) -> int:
    whole, partial = folder / file.path, _partial(folder / file.path)
    if whole.is_file():
        return file.bytes
    return min(partial.stat().st_size, file.bytes) if partial.is_file() else 0


def _partial(path: Path) -> Path:
    return path.with_name(path.name + _PARTIAL)


class _Share:
    """What a transfer is given as its progress bar: it moves the one bar over all files."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._lock = bar, Lock()

    def __call__(self, **_described: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, count: float | None = 1) -> None:
        with self._lock:
            self._bar.update(count)


def _fetch(checkpoint: HubCheckpoint, file: HubFile, folder: Path, share: _Share) -> None:
    path = folder / file.path
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    failures = 0
    while True:
        begun_at = partial.stat().st_size if partial.is_file() else 0
        try:
            _transfer(checkpoint, file, partial, share)
            break
        except httpx2.HTTPError as error:
            failures = 1 if partial.stat().st_size > begun_at else failures + 1
            if failures == TRIES or not _passes(error):
                raise PullFailed(why_not(checkpoint.role, checkpoint.hub_id, error)) from error
            logger.info("%s: %s; going on in a moment", file.path, error)
            time.sleep(PAUSE_S * 2 ** (failures - 1))
        except OSError as error:
            if error.errno is None:  # what http_get raises over a size that is not the announced one
                raise PullFailed(f"{file.path} did not arrive whole. Pull again.") from error
            raise
    _verify(file, partial)
    partial.replace(path)


def _passes(error: httpx2.HTTPError) -> bool:
    """Whether it may be better in a moment: a connection that broke, or a server that is overloaded."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= FIRST_SERVER_ERROR
    return isinstance(error, httpx2.TransportError)


def _transfer(checkpoint: HubCheckpoint, file: HubFile, partial: Path, share: _Share) -> None:
    if partial.is_file() and partial.stat().st_size > file.bytes:
        partial.unlink()
    token = get_token()
    with partial.open("ab") as output:
        http_get(
            hf_hub_url(checkpoint.hub_id, file.path, revision=checkpoint.revision),
            output,
            resume_size=output.tell(),
            headers={"authorization": f"Bearer {token}"} if token else {},
            expected_size=file.bytes,
            tqdm_class=cast(Any, share),
        )


def _verify(file: HubFile, partial: Path) -> None:
    if file.sha256 is None:
        return
    with partial.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        partial.unlink()
        raise PullFailed(f"{file.path} arrived damaged and was thrown away. Pull again: the other files stay.")
