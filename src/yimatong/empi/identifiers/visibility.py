"""Who may see and use which numbers (获取交叉索引 的范围), pure. The table is in docs/spec/indexes.md.

An institution's own domains (visit cards, its system's record numbers) are its own: nobody else learns that a person
has a number there. Certificates, cards, regional and national numbers are everybody's to know of, masked. An
institution or an app that an operator entered as trusted in a domain reads that domain's numbers unmasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from yimatong.access.caller import Scope
from yimatong.empi.errors import DomainNotYours
from yimatong.empi.identifiers.catalogue import institution_of
from yimatong.empi.identifiers.schemas import Domain
from yimatong.kit.masking import IdNumber

Sight = Literal["clear", "masked", "none"]
_TAIL = 4


def sight(code: str, trusted: Sequence[str], owner: str | None, scope: Scope) -> Sight:
    """Say how ``scope`` sees the numbers of a domain: in clear, masked, or not at all."""
    if scope.all_rows or _trusts(trusted, scope):
        return "clear"
    owning = owner or institution_of(code)
    if owning is None:
        return "masked"
    return "clear" if owning == scope.institution_id else "none"


def shown(code: str, number: str, how: Sight) -> str:
    """Return a number as it may be shown; the last four characters of a card, the ends of a certificate."""
    if how == "clear":
        return number
    if code.startswith("certificate:") or code == "social-security-number":
        return IdNumber(number).masked
    return "*" * max(len(number) - _TAIL, 1) + number[-_TAIL:] if len(number) > _TAIL else "*" * len(number)


def require_use(code: str, trusted: Sequence[str], owner: str | None, scope: Scope) -> None:
    """Refuse to answer from a number of a domain that is another institution's own.

    Raises:
        DomainNotYours: and nobody learns whether the number exists.
    """
    if sight(code, trusted, owner, scope) == "none":
        raise DomainNotYours(domain=code)


def require_entry(domain: Domain, scope: Scope) -> None:
    """Refuse to enter or end numbers of a domain that is not the caller's to write.

    Its own domains are an institution's; certificates and cards anybody's who may make cross indexes; regional and
    national numbers only those of who is trusted with them.

    Raises:
        DomainNotYours: it is not.
    """
    if scope.all_rows or _trusts(domain.trusted, scope):
        return
    own = domain.institution_id is not None and domain.institution_id == scope.institution_id
    open_to_all = domain.institution_id is None and domain.kind in ("certificate", "card")
    if not own and not open_to_all:
        raise DomainNotYours(domain=domain.code)


def _trusts(trusted: Sequence[str], scope: Scope) -> bool:
    return (scope.institution_id is not None and scope.institution_id in trusted) or (
        bool(scope.caller_id) and scope.caller_id in trusted
    )
