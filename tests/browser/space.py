"""A Space as people see it: the studio behind TLS at its own host, shown in a frame of Hugging Face's page.

Chromium is told that these host names are here, so that for it the pages really are https://huggingface.co and
https://….hf.space, each a site of its own.
"""

from __future__ import annotations

import datetime
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from studio.settings import Settings
from tests.browser.painted_studio import PaintedStudio
from tests.integration.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuing

SPACE_HOST = "someone-studio.hf.space"
SPACE = f"https://{SPACE_HOST}"
HUB = "https://huggingface.co"
OTHER_SPACE = "https://other-page.hf.space"
STRANGER = "https://stranger.example"
SANDBOX = (
    "allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-same-origin "
    "allow-scripts allow-storage-access-by-user-activation"
)
"""What the page of a Space lets its frame do: tabs of its own, but not to lead the whole page elsewhere."""
CHUNK_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Space:
    """The studio, who signs people in, and how a Chromium is told where the hosts are."""

    served: PaintedStudio
    issuer: Issuer
    flags: tuple[str, ...]


def embedding(site: str, path: str = "/") -> str:
    """The address of the page of `site` that shows the Space's `path` in a frame."""
    return f"{site}/spaces/someone/studio?show={quote(path, safe='')}"


@contextmanager
def space(folder: Path) -> Iterator[Space]:
    """A Space in its default mode, with open sign-up and sign-in with Hugging Face."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    with ExitStack() as stack:
        issuer = stack.enter_context(issuing())
        served = PaintedStudio(folder / "studio", mode="guest")
        served.folder.mkdir()
        values = {
            "SPACE_ID": "someone/studio",
            "SPACE_HOST": SPACE_HOST,
            "OAUTH_CLIENT_ID": CLIENT_ID,
            "OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "OPENID_PROVIDER_URL": issuer.url,
        }
        served.use(Settings.model_validate(values))
        stack.enter_context(served.serving())
        studio = stack.enter_context(_listening(context, lambda client: _pass(client, served.port)))
        pages = stack.enter_context(_listening(context, _show_frame))
        hosts = {SPACE_HOST: studio, "huggingface.co": pages, "other-page.hf.space": pages, "stranger.example": pages}
        rules = ",".join(f"MAP {host}:443 127.0.0.1:{port}" for host, port in hosts.items())
        # Third-party cookies that are not partitioned are blocked, as browsers do by now or soon will.
        flags = (f"--host-resolver-rules={rules}", "--test-third-party-cookie-phaseout")
        yield Space(served=served, issuer=issuer, flags=flags)


def _show_frame(client: ssl.SSLSocket) -> None:
    """Answer one request with a page that frames the Space."""
    asked = b""
    while b"\r\n\r\n" not in asked and (chunk := client.recv(CHUNK_BYTES)):
        asked += chunk
    target = asked.split(b" ")[1].decode() if asked.count(b" ") > 1 else "/"
    shown = unquote(target.partition("?show=")[2])
    body = (
        "<!doctype html><title>A Space</title>"
        f'<iframe src="{SPACE}{shown}" width="1300" height="850" sandbox="{SANDBOX}"></iframe>'
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode() + body)


def _pass(client: ssl.SSLSocket, port: int) -> None:
    """Hand everything on to the studio, which knows nothing of TLS, and back."""
    with socket.create_connection(("127.0.0.1", port)) as studio:
        others = {client: studio, studio: client}
        while True:
            waiting = [client] if client.pending() else select.select([client, studio], [], [])[0]
            for one in waiting:
                chunk = one.recv(CHUNK_BYTES)
                if not chunk:
                    return
                others[one].sendall(chunk)


@contextmanager
def _listening(context: ssl.SSLContext, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """A TLS server on a loopback port, whose connections `answer` handles in threads."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with context.wrap_socket(self.request, server_side=True) as client:
                    answer(client)
            except OSError:
                return  # the browser went away

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def _certificate(folder: Path) -> Path:
    """A certificate with its key that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.hf.space")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
