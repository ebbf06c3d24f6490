"""The identifier domains that every platform has (标识域), as data, pure.

A standard domain needs no row: what is written here holds until an operator changes it, and then the row holds. The
same goes for domains that follow from something else: visit-card domains and a source domain of each institution
(就诊卡, and the record numbers of its own system), and a region's domain (GB/T 2260). So an institution has its domains
in the moment it is registered.

Object identifiers: those that WS/T 500 (电子病历共享文档规范) writes into its documents where there are any, else ours:
``2.25.`` and the number of a name-based UUID of the code (ITU-T X.667), which needs no registration and is the same on
every platform. An operator may give a domain another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from uuid import UUID, uuid5

from yimatong.empi.identifiers.schemas import Domain, DomainKind
from yimatong.standards.codes import CERTIFICATE_TYPES, Term
from yimatong.standards.regions import PROVINCES

_OWN: Final = UUID("6f0c8f2e-57c3-5d0e-9d52-0a1b8d6f5c11")
ID_CARD_OID: Final = "2.16.156.10011.1.3"
HEALTH_CARD_OID: Final = "2.16.156.10011.1.19"
HEALTH_RECORD_OID: Final = "2.16.156.10011.1.2"

VISIT_CARD_TYPES: Final[Mapping[str, Term]] = MappingProxyType(
    {
        "01": Term("就诊卡", "visit card"),
        "02": Term("住院号", "in-patient number"),
        "03": Term("病案号", "medical record number"),
        "04": Term("体检号", "health check number"),
        "99": Term("其他院内卡", "other card of the institution"),
    }
)
"""Card types of an institution's own cards. The numbering is the platform's own."""

_VISIT: Final = re.compile(r"visit-card:([0-9A-Za-z._-]{1,64}):([0-9]{2})", re.ASCII)
_SOURCE: Final = re.compile(r"source:([0-9A-Za-z._-]{1,64})", re.ASCII)
_REGION: Final = re.compile(r"region:([0-9]{6})", re.ASCII)


def oid_of(code: str) -> str:
    """Return our own object identifier of a domain code."""
    return f"2.25.{uuid5(_OWN, code).int}"


def visit_cards(institution_id: str, card_type: str = "01") -> str:
    """Return the code of an institution's visit-card domain (子索引: card type and institution)."""
    return f"visit-card:{institution_id}:{card_type}"


def source(institution_id: str) -> str:
    """Return the code of the domain of a provider's own record numbers."""
    return f"source:{institution_id}"


def _standard(
    code: str,
    kind: DomainKind,
    zh: str,
    en: str,
    *,
    oid: str = "",
    id_type: str | None = None,
    card_type: str | None = None,
    form: str = "",
    check: str = "",
    one: bool = False,
    reusable: bool = False,
) -> Domain:
    return Domain(
        code=code,
        oid=oid or oid_of(code),
        kind=kind,
        name_zh=zh,
        name_en=en,
        id_type=id_type,
        card_type=card_type,
        institution_id=None,
        region_code=None,
        format=form,
        check_rule=check,
        one_per_person=one,
        reusable=reusable,
        valid_days=None,
        trusted=(),
        state="active",
        version=1,
    )


_CERTIFICATE_RULES: Final[Mapping[str, tuple[str, str, bool]]] = MappingProxyType(
    {
        "01": ("", "gb11643", True),
        "02": (r"[0-9A-Z-]{4,40}", "", False),
        "03": (r"[0-9A-Z]{5,20}", "", False),
        "04": (r"[一-鿿]{1,3}字第[0-9]{4,8}号?|[0-9A-Z-]{4,20}", "", True),
        "05": (r"[0-9]{12}|[0-9]{17}[0-9X]", "driving-licence", False),
        "06": (r"[HM][0-9]{8}|[HM][0-9]{10}", "", True),
        "07": (r"[0-9]{8}|[0-9]{10}[A-Z]?", "", True),
        "08": (r"[A-Z][0-9]{9}", "", True),
        "09": ("", "residence-card", True),
        "98": (r"D[0-9]{20}", "", False),
        "99": (r"[0-9A-Z-]{4,40}", "", False),
    }
)
"""Format, check rule and one-per-person by certificate type."""

_CERTIFICATES: Final = tuple(
    _standard(
        f"certificate:{id_type}",
        "certificate",
        term.zh,
        term.en,
        oid=ID_CARD_OID if id_type == "01" else "",
        id_type=id_type,
        form=_CERTIFICATE_RULES[id_type][0],
        check=_CERTIFICATE_RULES[id_type][1],
        one=_CERTIFICATE_RULES[id_type][2],
    )
    for id_type, term in CERTIFICATE_TYPES.items()
)

STANDARD: Final[Mapping[str, Domain]] = MappingProxyType(
    {
        domain.code: domain
        for domain in (
            *_CERTIFICATES,
            _standard(
                "certificate:returned-overseas-chinese",
                "certificate",
                "归国华侨证",
                "returned-overseas-Chinese certificate",
                id_type="99",
                form=r"[一-鿿]{0,6}[0-9A-Z-]{4,30}",
                one=True,
            ),
            _standard(
                "certificate:settlement-permit",
                "certificate",
                "港澳台居民居住证",
                "residence permit of Hong Kong, Macao and Taiwan residents",
                id_type="99",
                check="settlement-permit",
                one=True,
            ),
            _standard(
                "card:01",
                "card",
                "居民健康卡",
                "resident health card",
                oid=HEALTH_CARD_OID,
                card_type="01",
                form=r"[0-9A-Z-]{4,40}",
                reusable=True,
            ),
            _standard(
                "card:02",
                "card",
                "社会保障卡",
                "social insurance card",
                card_type="02",
                form=r"[0-9A-Z]{4,40}",
                reusable=True,
            ),
            _standard(
                "card:03",
                "card",
                "新农合医疗证（合疗证）",
                "rural cooperative medical card",
                card_type="03",
                form=r"[0-9A-Z-]{4,40}",
                reusable=True,
            ),
            _standard(
                "card:04",
                "card",
                "医疗机构就诊卡（实体卡登记）",
                "hospital visit card in the registry of physical cards",
                card_type="04",
                form=r"[0-9A-Z-]{4,40}",
                reusable=True,
            ),
            _standard(
                "card:99",
                "card",
                "其他实体卡",
                "other physical card",
                card_type="99",
                form=r"[0-9A-Z-]{4,40}",
                reusable=True,
            ),
            _standard(
                "card:electronic",
                "card",
                "电子健康卡",
                "electronic health card",
                card_type="electronic",
                form=r"[0-9A-F]{64}",
            ),
            _standard(
                "social-security-number",
                "national",
                "社会保障号码",
                "social security number",
                check="social-security",
                one=True,
            ),
            _standard(
                "health-record",
                "national",
                "城乡居民健康档案编号",
                "number of the resident's health record",
                oid=HEALTH_RECORD_OID,
                form=r"[0-9]{17}|[0-9]{18}",
                one=True,
            ),
            _standard(
                "national:mpi",
                "national",
                "国家居民主索引",
                "national person index",
                form=r"[0-9A-Z._-]{1,64}",
                one=True,
            ),
        )
    }
)
"""Every domain that does not depend on an institution or a region, by code."""


def institution_of(code: str) -> str | None:
    """Return the institution whose domain a code is by its form; it need not exist."""
    found = _VISIT.fullmatch(code) or _SOURCE.fullmatch(code)
    return found[1] if found else None


def domains_of_institution(institution_id: str, name: str) -> tuple[Domain, ...]:
    """Return the domains that an institution has by being registered."""
    made = [derived(source(institution_id), name)]
    made += [derived(visit_cards(institution_id, card_type), name) for card_type in VISIT_CARD_TYPES]
    return tuple(domain for domain in made if domain is not None)


@lru_cache(maxsize=4096)
def derived(code: str, name: str = "") -> Domain | None:
    """Return the domain of a code that is standard or follows from an institution or a region; None for any other.

    ``name`` is the institution's, to be shown. Whether the institution exists is the caller's to know.
    """
    known = STANDARD.get(code)
    if known is not None:
        return known
    visit, own, region = _VISIT.fullmatch(code), _SOURCE.fullmatch(code), _REGION.fullmatch(code)
    if visit and visit[2] in VISIT_CARD_TYPES:
        term = VISIT_CARD_TYPES[visit[2]]
        return _of(
            code, "visit_card", f"{name}{term.zh}", f"{name} {term.en}".strip(), card_type=visit[2], owner=visit[1]
        )
    if own:
        return _of(code, "source", f"{name}患者记录号", f"{name} record number".strip(), owner=own[1])
    if region and region[1][:2] in PROVINCES:
        return _of(code, "region", f"{region[1]} 区域平台", f"regional platform {region[1]}", region_code=region[1])
    return None


def _of(
    code: str,
    kind: DomainKind,
    zh: str,
    en: str,
    *,
    card_type: str | None = None,
    owner: str | None = None,
    region_code: str | None = None,
) -> Domain:
    return Domain(
        code=code,
        oid=oid_of(code),
        kind=kind,
        name_zh=zh,
        name_en=en,
        id_type=None,
        card_type=card_type,
        institution_id=owner,
        region_code=region_code,
        format=r"[0-9A-Z._:/-]{1,64}",
        check_rule="",
        one_per_person=False,
        reusable=kind == "visit_card",
        valid_days=None,
        trusted=(),
        state="active",
        version=1,
    )
