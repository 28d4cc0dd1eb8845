from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from studio.services.webhooks.destinations import Destinations
from studio.services.webhooks.posting import Message, Outcome, Poster
from tests.receivers import Receiver, receiving

HOST = "hooks.example"


def certificate_of(host: str, folder: Path) -> Path:
    """A file with a key and a certificate of `host` that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    path = folder / f"{host}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def secure_receiver(host: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[tuple[Receiver, list[str | None]]]:
    """A receiver by TLS whose certificate, for `host`, is trusted here; and the names that it was asked for."""
    file = certificate_of(host, folder)
    patch.setenv("SSL_CERT_FILE", str(file))
    tls, names = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    tls.load_cert_chain(file)
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    with receiving(tls=tls) as receiver:
        yield receiver, names


async def sent(url: str) -> Outcome:
    where = Destinations([ip_network("127.0.0.0/8")], resolve=lambda host, port: ["127.0.0.1"])
    async with Poster(where, "1.0") as poster:
        return await poster.send(
            Message(id="message", url=url, payload={"type": "webhook.ping"}, secrets=["whsec_aGk="])
        )


async def test_the_certificate_must_be_the_hosts_though_the_connection_goes_to_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with secure_receiver(HOST, tmp_path, monkeypatch) as (receiver, names):
        outcome = await sent(f"https://{HOST}:{receiver.port}/")

    assert (outcome.status_code, outcome.error, names) == (204, None, [HOST])
    assert receiver.received[0].headers["host"] == f"{HOST}:{receiver.port}"


async def test_another_hosts_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with secure_receiver("other.example", tmp_path, monkeypatch) as (receiver, _):
        outcome = await sent(f"https://{HOST}:{receiver.port}/")

    assert receiver.received == []
    assert outcome.error is not None
    assert "certificate" in outcome.error.lower()
    assert not outcome.is_final
