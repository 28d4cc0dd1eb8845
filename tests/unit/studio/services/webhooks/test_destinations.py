from __future__ import annotations

import socket
import threading
from ipaddress import ip_network

import psutil
import pytest

from studio.services.webhooks import destinations
from studio.services.webhooks.destinations import Destinations, Refused, Unresolved, system_addresses

PUBLIC = ["93.184.216.34", "2606:4700:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34", "192.0.1.1"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]


def leading_to(*addresses: str, networks: tuple[str, ...] = ()) -> Destinations:
    return Destinations([ip_network(one) for one in networks], resolve=lambda host, port: addresses)


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_addresses_are_called(address: str):
    found = await leading_to(address).find("https://hooks.example.org/a?b=c")

    assert (found.addresses, found.url.host, found.url.raw_path) == ((address,), "hooks.example.org", b"/a?b=c")


@pytest.mark.parametrize("address", PRIVATE)
async def test_every_other_address_is_refused(address: str):
    with pytest.raises(Refused, match="not in the public internet") as refused:
        leading_to(address).check("https://hooks.example.org/", "webhook_url")
    assert refused.value.field == "webhook_url"
    with pytest.raises(Refused):
        await leading_to(address).find("https://hooks.example.org/")


def test_one_private_address_among_public_ones_is_enough():
    with pytest.raises(Refused, match=r"hooks.example.org \(10.0.0.7\)"):
        leading_to("93.184.216.34", "10.0.0.7").check("https://hooks.example.org/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]"],
)
def test_no_spelling_leads_home(host: str):
    with pytest.raises(Refused):
        Destinations().check(f"http://{host}:8080/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/",
        "example.org",
        "https://",
        "https:///path",
        "https://ann:secret@example.org/",
        "https://example.org/#part",
        "https://example.org:22/",
        "https://example.org:25/",
        "https://example.org:70000/",
        "https://exa mple.org/",
        "https://a\\b/",
        "https://127.0.0.1%00.example.org/",
        "https://[fe80::1%25eth0]/",
        "https://①②⑦.⓪.⓪.①/",
        "https://exam\nple.org/",
        "https://" + "a" * 2000,
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_before_any_name_is_asked_for(url: str):
    def never(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(Refused):
        Destinations(resolve=never).check(url)


@pytest.mark.parametrize(
    "url", ["http://h.example", "https://h.example:443", "https://h.example:8443/x", "HTTP://H.example:80"]
)
def test_ports_of_http_and_free_ones_are_called(url: str):
    leading_to("93.184.216.34").check(url)


def test_named_networks_are_called_although_they_are_private():
    asked = ("10.1.2.3", "::ffff:10.1.2.4", "fd00::1")
    leading_to(*asked, networks=("10.1.0.0/16", "fd00::/64")).check("http://inside.example/")
    with pytest.raises(Refused):
        leading_to("10.2.0.1", networks=("10.1.0.0/16",)).check("http://inside.example/")


def test_this_machines_own_addresses_are_refused(monkeypatch: pytest.MonkeyPatch):
    cards = psutil.net_if_addrs()
    public = next(iter(cards.values()))[0]._replace(address="93.184.216.34")
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {**cards, "public": [public]})
    with pytest.raises(Refused):
        leading_to("93.184.216.34").check("https://hooks.example.org/")


async def test_a_name_that_leads_nowhere_is_told():
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    for where in (Destinations(resolve=unknown), leading_to()):
        with pytest.raises(Unresolved, match=r"hooks\.example leads to no address"):
            where.check("https://hooks.example/")
        with pytest.raises(Unresolved):
            await where.find("https://hooks.example/")
    with pytest.raises(Unresolved):
        Destinations().check("https://" + "a" * 100 + ".example/")


async def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(destinations, "RESOLVE_S", 0.01)
    answered = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        answered.wait(30)
        return ["93.184.216.34"]

    where = Destinations(resolve=slow)
    try:
        with pytest.raises(Unresolved):
            where.check("https://hooks.example/")
        with pytest.raises(Unresolved):
            await where.find("https://hooks.example/")
    finally:
        answered.set()


def test_the_system_names_its_own_loopback():
    assert set(system_addresses("localhost", 80)) <= {"127.0.0.1", "::1"}
