"""Identifier domains by the names that other standards know them by: object identifier, URI. Pure.

A domain's system in FHIR is ``urn:oid:`` and its object identifier (ITI TF-2 Appendix E.3); one without has a URN of
ours that holds its code. In HL7 v2 and v3 the object identifier itself is the assigning authority's universal id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from yimatong.empi.identifiers.schemas import Domain

_OID: Final = "urn:oid:"
_OWN: Final = "urn:yimatong:domain:"


class Systems:
    """The domains of a moment, by code and by system."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        """Index the domains."""
        self._by_code = {domain.code: domain for domain in domains}
        self._by_oid = {domain.oid: domain for domain in self._by_code.values() if domain.oid}
        self._by_certificate: dict[str, Domain] = {}
        for domain in self._by_code.values():
            if domain.kind == "certificate" and domain.id_type and domain.code == f"certificate:{domain.id_type}":
                self._by_certificate[domain.id_type] = domain

    @property
    def all(self) -> tuple[Domain, ...]:
        """Return every domain."""
        return tuple(self._by_code.values())

    def by_code(self, code: str) -> Domain | None:
        """Return the domain of a code."""
        return self._by_code.get(code)

    def by_oid(self, oid: str) -> Domain | None:
        """Return the domain of an object identifier, written with dots."""
        return self._by_oid.get(oid)

    def by_system(self, system: str) -> Domain | None:
        """Return the domain of a FHIR system."""
        if system.startswith(_OID):
            return self._by_oid.get(system.removeprefix(_OID))
        return self._by_code.get(system.removeprefix(_OWN)) if system.startswith(_OWN) else None

    def of_certificate(self, id_type: str) -> Domain | None:
        """Return the domain of a certificate type of WS 364.3 CV02.01.101."""
        return self._by_certificate.get(id_type)

    def system(self, code: str) -> str:
        """Return the FHIR system of a domain's code."""
        domain = self._by_code.get(code)
        return _OID + domain.oid if domain is not None and domain.oid else _OWN + code
