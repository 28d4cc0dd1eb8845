"""Where webhooks may go: addresses in the public internet, and the private networks that the settings name.

People choose the addresses, and the studio calls them from inside its own network: nobody may reach through it what
only it can reach. So a name is resolved here, every address it has is looked at, and the connection goes to exactly
one of those. How an address is spelled does not matter, since only what it resolves to is looked at.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as PoolTimeout
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx
import psutil

from studio.errors import InvalidInput
from studio.orders import MAX_URL_CHARS

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

MAX_ADDRESSES = 8
PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024
"""Below it, but for HTTP's own two, live services that must not be talked to in HTTP."""
RESOLVE_S = 5.0
RESOLVING_THREADS = 8
"""A name server that does not answer holds a thread for longer than anybody waits for it."""
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is meant."""
_UNICAST = IPv6Network("2000::/3")
_REFUSED: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's services for its machines, at a public address
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)


class Refused(InvalidInput):
    """The studio does not call this address."""


class Unresolved(InvalidInput):
    """The host's name leads nowhere at the moment."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A URL that may be called, at one of `addresses`; all of them were looked at."""

    url: httpx.URL
    addresses: tuple[str, ...]


def system_addresses(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` in the order in which the system would try them. Raises OSError. Blocks."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Destinations:
    """Says where webhooks may go. `networks` may be called although they are private."""

    def __init__(self, networks: Sequence[Network] = (), resolve: Resolve = system_addresses) -> None:
        self._networks = tuple(networks)
        self._resolve = resolve
        self._pool = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="webhook-names")

    def check(self, url: str, field: str = "url") -> None:
        """Raise InvalidInput, which names `field`, where `url` may not be called. Blocks while its name is resolved."""
        try:
            _, host, port = _parsed(url)
            try:
                found = self._pool.submit(self._addresses, host, port).result(RESOLVE_S)
            except PoolTimeout:
                raise _no_name(host) from None
            self._look_at(host, found)
        except InvalidInput as error:
            error.field = field
            raise

    async def find(self, url: str) -> Destination:
        """Where to send what goes to `url`. Raises Refused or Unresolved."""
        parsed, host, port = _parsed(url)
        looking = asyncio.get_running_loop().run_in_executor(self._pool, self._addresses, host, port)
        try:
            found = await asyncio.wait_for(looking, RESOLVE_S)
        except TimeoutError:
            raise _no_name(host) from None
        return Destination(url=parsed, addresses=self._look_at(host, found))

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            return self._resolve(host, port)
        except (OSError, UnicodeError):
            raise _no_name(host) from None

    def _look_at(self, host: str, found: Sequence[str]) -> tuple[str, ...]:
        if not found:
            raise _no_name(host)
        own = _own_addresses()
        for text in found:
            address = _meant(ip_address(text))
            if any(address in network for network in self._networks):
                continue
            if not _is_public(address) or str(address) in own:
                where = host if host == text else f"{host} ({text})"
                raise Refused(
                    f"{where} is not in the public internet, and the studio calls nothing else. Who runs it can allow "
                    "a private network with STUDIO_WEBHOOK_NETWORKS."
                )
        return tuple(found[:MAX_ADDRESSES])


def _parsed(text: str) -> tuple[httpx.URL, str, int]:
    """The URL with its host and port; the same parser serves the check and the call. Raises Refused."""
    if not 1 <= len(text) <= MAX_URL_CHARS:
        raise Refused(f"A webhook's address has 1 to {MAX_URL_CHARS} characters.")
    try:
        url = httpx.URL(text.strip())
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError):
        raise Refused("The webhook's address cannot be read as a URL.") from None
    if url.scheme not in PORTS or not host:
        raise Refused("A webhook's address begins with https:// or http:// and a host.")
    if url.userinfo:
        raise Refused("A webhook's address holds no user name and password: the signature says who calls.")
    if url.fragment:
        raise Refused("A webhook's address has no part after #: it would not be sent.")
    if not _HOST.fullmatch(host) and not _is_ipv6(host):
        raise Refused("The webhook's address names no host that can be called.")
    port = url.port or PORTS[url.scheme]
    if port not in PORTS.values() and not FIRST_FREE_PORT <= port <= 65535:
        raise Refused(f"A webhook's port is 80, 443, or from {FIRST_FREE_PORT} to 65535.")
    return url, host, port


def _is_ipv6(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv6Address) and "%" not in host
    except ValueError:
        return False


def _no_name(host: str) -> Unresolved:
    return Unresolved(f"The name {host} leads to no address at the moment.")


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one only wraps, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    """Whether it is one machine's address in the public internet, by IANA's registries."""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _own_addresses() -> set[str]:
    """The addresses of this machine: what it reaches at them may be shut to everybody else."""
    return {card.address.partition("%")[0] for cards in psutil.net_if_addrs().values() for card in cards}
