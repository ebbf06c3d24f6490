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
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError as error:
        raise SenderUnknown(location="MSH^1^3", audit="no address") from error
    for partner in partners:
        named = partner.application in ("", header.application) and partner.facility in ("", header.facility)
        if named and any(address in ipaddress.ip_network(each) for each in partner.networks):
            return partner.caller_id
    raise SenderUnknown(location="MSH^1^3", audit=f"from {peer}")
