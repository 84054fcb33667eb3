"""Which Host headers are ours.

A web page can make a browser resolve a name of its own to 127.0.0.1 and then talk to s3d as if to itself (DNS
rebinding). The Host header still carries that name, so requests for names that are not ours are refused with 421
(RFC 9110 §15.5.20).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request

_MAX_REMEMBERED = 1024
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@/?#]+))(?::[0-9]{0,5})?")
"""Host of RFC 9110 §7.2: a name or an address, and perhaps a port."""


class Hosts:
    """Knows our names: loopback, the address a connection came in on, ``domains`` with all below, and ``names``."""

    def __init__(self, domains: Iterable[str], names: Iterable[str]) -> None:
        self._buckets = tuple(domain.lower() for domain in domains)
        self._domains = tuple(domain.lower() for domain in (*domains, "localhost"))
        self._names = frozenset(name.lower() for name in names)
        self._known: set[tuple[bytes, str]] = set()

    def check(self, request: Request) -> None:
        """Raise Fault MISDIRECTED_REQUEST if the request is for somebody else. Over a unix socket any host is ours."""
        local = request.local
        if local is None or not request.host or (request.host, local[0]) in self._known:
            return
        form = _HOST.fullmatch(request.host.decode("latin-1"))
        host = (form["address"] or form["name"]).lower().rstrip(".") if form else request.host.decode("latin-1")
        if form is None or not self._is_ours(host, local[0]):
            raise Fault(
                FaultCode.MISDIRECTED_REQUEST,
                f"s3d does not serve the host {host!r}. If clients may call it by that name, "
                "add it to S3D_ALLOWED_HOSTS, or to S3D_DOMAIN if buckets stand before it.",
            )
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known.add((request.host, local[0]))

    def names_bucket(self, request: Request) -> bool:
        """Whether the Host header has a bucket before one of the domains, as the router will read it."""
        host = request.host.decode("latin-1").partition(":")[0].lower()
        return any(host.endswith("." + domain) for domain in self._buckets)

    def _is_ours(self, host: str, local: str) -> bool:
        if host in self._names or any(host == domain or host.endswith("." + domain) for domain in self._domains):
            return True
        try:
            address = ipaddress.ip_address(host)
            return address.is_loopback or address == ipaddress.ip_address(local.partition("%")[0])
        except ValueError:
            return False
