"""A hub on this machine: the few answers of the hub's API that a pull needs, over folders, with faults on demand.

Large files are served from a second address, as the real hub does: whoever follows must not take the token there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

REVISION = "c0ffee" + "0" * 34
LARGE = ".safetensors"


class LocalHub:
    """Serves the folders in `repositories`, by hub id.

    `requests` holds (address, method, path, Range, whether a token came with it). Of the file whose path is `breaks`
    the first transfer ends with a cut connection halfway; of the one whose path is `stalls` it stops there, and
    `stalled` is set; the one whose path is `overloaded` is refused with 503 once. `sizes` and `digests` are what the
    hub says where that differs from what is so; `refusals` are hub ids that it answers with that status.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.requests: list[tuple[str, str, str, str | None, bool]] = []
        self.breaks: str | None = None
        self.stalls: str | None = None
        self.overloaded: str | None = None
        self.stalled, self.over = Event(), Event()
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.refusals: dict[str, int] = {}
        self.url = self.store_url = ""

    def ranges_of(self, path: str) -> list[str | None]:
        """The Range of each transfer of a file, in order."""
        return [span for _, method, asked, span, _ in self.requests if method == "GET" and asked.endswith(f"/{path}")]

    def transferred(self) -> list[str]:
        """The paths of large files that were transferred."""
        return [path for address, method, path, _, _ in self.requests if address == "store" and method == "GET"]

    @contextmanager
    def running(self) -> Iterator[LocalHub]:
        servers = []
        for address in ("hub", "store"):
            handler = type("Handler", (_Handler,), {"hub": self, "address": address})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
            servers.append(server)
        self.url, self.store_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
        try:
            yield self
        finally:
            self.over.set()
            for server in servers:
                server.shutdown()
                server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    address: str

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        token = "authorization" in self.headers
        self.hub.requests.append((self.address, method, path, self.headers.get("Range"), token))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(method, found[1], found[3])
        else:
            self._json(404, {})

    def _info(self, hub_id: str, revision: str | None) -> None:
        folder = self.hub.repositories.get(hub_id)
        if (status := self.hub.refusals.get(hub_id)) or folder is None:
            code = {401: "GatedRepo", 404: "RepoNotFound", None: "RepoNotFound"}.get(status, "")
            self._json(status or 404, {}, {"X-Error-Code": code} if code else {})
            return
        if revision not in {None, "main", REVISION}:
            self._json(404, {}, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [self._sibling(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
        self._json(200, {"id": hub_id, "modelId": hub_id, "sha": REVISION, "siblings": siblings})

    def _sibling(self, folder: Path, path: Path) -> dict[str, object]:
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        size = self.hub.sizes.get(name, len(content))
        entry: dict[str, object] = {"rfilename": name, "size": size, "blobId": hashlib.sha1(content).hexdigest()}
        if path.suffix == LARGE:
            digest = self.hub.digests.get(name, hashlib.sha256(content).hexdigest())
            entry["lfs"] = {"sha256": digest, "size": size, "pointerSize": 135}
        return entry

    def _json(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, method: str, hub_id: str, name: str) -> None:
        path = self.hub.repositories[hub_id] / name
        if not path.is_file():
            self._json(404, {}, {"X-Error-Code": "EntryNotFound"})
            return
        content = path.read_bytes()
        if path.suffix == LARGE and self.address == "hub":
            self.send_response(302)
            self.send_header("Location", self.hub.store_url + self.path)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if name == self.hub.overloaded:
            self.hub.overloaded = None
            self._json(503, {})
            return
        first, last = self._span(len(content))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if method == "GET":
            self._send(name, content[first : last + 1])

    def _span(self, length: int) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if found is None:
            return 0, length - 1
        return int(found[1]), min(int(found[2] or length), length - 1)

    def _send(self, name: str, content: bytes) -> None:
        half = len(content) // 2
        if name == self.hub.breaks:
            self.hub.breaks = None
            self.wfile.write(content[:half])
            self.close_connection = True
            return
        if name == self.hub.stalls:
            self.hub.stalls = None
            self.wfile.write(content[:half])
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.over.wait()
            return
        self.wfile.write(content)


def repository_of(checkpoint: Path, folder: Path) -> Path:
    """A repository as the hub has them: `checkpoint` among files that nobody here needs."""
    shutil.copytree(checkpoint, folder)
    for name in ("README.md", ".gitattributes", "picture.png"):
        (folder / name).write_bytes(b"of no use here")
    weights = next(folder.rglob("*.safetensors"))
    weights.with_name("pytorch_model.bin").write_bytes(b"pickled")
    weights.with_name("model.onnx").write_bytes(b"onnx")
    return folder
