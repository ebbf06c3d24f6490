"""Who sends on an MLLP connection. MLLP itself names nobody and proves nothing.

A partner is registered by its sending application and facility (MSH-3, MSH-4) with the addresses it may send from and
the caller of the platform that it stands for. TLS with certificates of both sides (IHE ATNA) is ended by the operator's
own proxy in front, as for HTTP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from yimatong.gateways.errors import SenderUnknown
from yimatong.gateways.hl7v2.reading import Header
from yimatong.kit.settings import Hl7Partner


def caller_of(partners: Sequence[Hl7Partner], header: Header, peer: str) -> str:
    """Return the caller id of the first partner that fits: application and facility (empty: any) and the address.

    Raises:
        SenderUnknown: none fits.
    """
    address = _address(peer)
    if address is None:
        raise SenderUnknown(location="MSH^1^3", audit="no address")
    for partner in partners:
        named = partner.application in ("", header.application) and partner.facility in ("", header.facility)
        if named and any(address in ipaddress.ip_network(each) for each in partner.networks):
            return partner.caller_id
    raise SenderUnknown(location="MSH^1^3", audit=f"from {peer}")


def may_connect(partners: Sequence[Hl7Partner], peer: str) -> bool:
    """Say whether any partner may send from an address: others are not even listened to."""
    address = _address(peer)
    networks = (each for partner in partners for each in partner.networks)
    return address is not None and any(address in ipaddress.ip_network(each) for each in networks)


def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of a peer; one of IPv4 on a socket of both versions is that of IPv4."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
