"""Identifier domains: every standard one with its rules, and their management by operators."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pix
import pytest
from pix import NOW
from sqlalchemy import text

from yimatong.access import callers
from yimatong.access.caller import Scope
from yimatong.access.callers import Institution
from yimatong.empi.identifiers import catalogue, managing, rules, visibility
from yimatong.empi.identifiers.managing import Change
from yimatong.empi.identifiers.schemas import DomainChange, DomainToMake
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.standards.codes import CERTIFICATE_TYPES
from yimatong.standards.id_number import check_digit

TODAY = date(2026, 5, 6)
BY = Change(operator_id="op-1", reason="核对", request_id="op_1", now=NOW)


def _valid(first17: str) -> str:
    return first17 + check_digit(first17)


GOOD = {
    "certificate:01": "11010519491231002X",
    "certificate:02": "610102-0012345",
    "certificate:03": "E12345678",
    "certificate:04": "南字第01234567号",
    "certificate:05": "610102123456",
    "certificate:06": "H12345678",
    "certificate:07": "12345678",
    "certificate:08": "U510000001",
    "certificate:09": _valid("91115619840810712"),
    "certificate:98": "D20260506123456789012",
    "certificate:99": "XZ-1234",
    "certificate:returned-overseas-chinese": "陕侨证00012345",
    "certificate:settlement-permit": _valid("81000019900101123"),
    "card:01": "610100200001234567",
    "card:02": "A12345678",
    "card:03": "HL0012345678",
    "card:04": "JZ-000123",
    "card:99": "OTHER-1",
    "card:electronic": "0A" * 32,
    "social-security-number": "11010519491231002X",
    "health-record": "61010200100100001",
    "national:mpi": "CN-0123456789",
    "visit-card:inst-h1:01": "A001",
    "source:inst-h1": "P/17",
    "region:610100": "XA-1",
}
BAD = {
    "certificate:01": ("110105194912310021", "1101051949123100", "99010519491231002X", "11010520991231002X"),
    "certificate:02": ("户口", "12"),
    "certificate:03": ("E1", "E1234-5678"),
    "certificate:04": ("字第1号", "南字第01234567号x"),
    "certificate:05": ("6101021234567", "110105194912310021"),
    "certificate:06": ("H1234567", "Z12345678"),
    "certificate:07": ("1234567", "T1234567"),
    "certificate:08": ("5100000012", "U51000000"),
    "certificate:09": ("91115619840810712Z", "11010519491231002X"),
    "certificate:98": ("X1",),
    "certificate:99": ("a b", "一二三四"),
    "certificate:returned-overseas-chinese": ("侨", "侨证12"),
    "certificate:settlement-permit": ("11010519491231002X", _valid("84000019900101123")),
    "card:01": ("123", "卡12345"),
    "card:02": ("A1", "卡1234567"),
    "card:03": ("1",),
    "card:04": ("1",),
    "card:99": ("1",),
    "card:electronic": ("0A" * 31, "0G" * 32),
    "social-security-number": ("110105194912310021", "CHN123"),
    "health-record": ("1234", "6101020010010000A"),
    "national:mpi": ("一",),
    "visit-card:inst-h1:01": ("", "卡", "a b\x00", "1" * 65),
    "source:inst-h1": ("", "\n"),
    "region:610100": ("",),
}


def test_every_standard_domain_is_tried() -> None:
    assert set(catalogue.STANDARD) <= set(GOOD)
    assert set(GOOD) == set(BAD)
    assert {f"certificate:{each}" for each in CERTIFICATE_TYPES} <= set(catalogue.STANDARD)


@pytest.mark.parametrize("code", GOOD)
def test_a_domain_takes_its_numbers_and_no_others(code: str) -> None:
    domain = catalogue.derived(code)
    assert domain is not None
    rules.require_sound(domain)
    once = rules.checked(domain, GOOD[code], today=TODAY)
    assert rules.checked(domain, f" {once.lower()} ", today=TODAY) == once, "case and blanks do not count"
    for number in BAD[code]:
        with pytest.raises(PlatformError):
            rules.checked(domain, number, today=TODAY)


def test_object_identifiers_are_legal_and_nobodys_twice() -> None:
    everything = [*catalogue.STANDARD.values(), *catalogue.domains_of_institution("inst-h1", "第一医院")]
    oids = [each.oid for each in everything]
    assert len(set(oids)) == len(oids)
    for each in oids:
        assert each is not None
        arcs = [int(arc) for arc in each.split(".")]
        assert arcs[0] in (0, 1, 2)
        assert each.startswith(("2.16.156.10011.1.", "2.25."))


def test_one_number_has_one_blind_in_each_domain() -> None:
    def blind(code: str, number: str) -> bytes:
        return rules.blind(pix.BLINDER, code, rules.normal(code, number))

    assert blind("certificate:01", "110105491231002") == pix.BLINDER.id_blind("01", "11010519491231002X")
    assert blind("card:02", "A1234-5678") == blind("card:02", "ａ12345678")
    assert blind("card:01", "12345678") != blind("card:03", "12345678")
    assert blind("visit-card:a:01", "1") != blind("visit-card:b:01", "1")


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "[0-9]*", "[0-9]+", "a{1,60}b{1,60}c{1,60}d{1,60}", "[", "a" * 300, ".*", "^a$"]
)
def test_a_format_cannot_keep_the_platform_busy(pattern: str) -> None:
    with pytest.raises(PlatformError) as caught:
        rules.require_sound(msgspec.structs.replace(catalogue.STANDARD["card:01"], format=pattern))
    assert caught.value.code == "EMP-2011"


def test_what_is_shown_of_a_masked_number() -> None:
    assert visibility.shown("card:02", "A12345678", "masked") == "*****5678"
    assert visibility.shown("card:02", "123", "masked") == "***"
    assert visibility.shown("certificate:03", "E12345678", "masked") == "E*******8"
    assert visibility.shown("certificate:03", "E12345678", "clear") == "E12345678"


async def _institution(connection: Connection) -> None:
    hospital = Institution(
        institution_id="inst-h1", name="第一医院", kind="hospital", org_code="435628013", region_code="610100"
    )
    await callers.add_institution(connection, hospital, now=NOW)


async def _code_of(work: Any) -> str:
    with pytest.raises(PlatformError) as caught:
        await work
    return caught.value.code


async def test_an_institution_has_its_domains_when_it_appears(connection: Connection) -> None:
    assert await _code_of(managing.read(connection, "visit-card:inst-h1:01")) == "EMP-2001"
    await _institution(connection)
    found = await managing.read(connection, "visit-card:inst-h1:01")
    assert (found.name_zh, found.institution_id, found.version) == ("第一医院就诊卡", "inst-h1", 1)
    codes = [each.code for each in await managing.listed(connection, institution_id="inst-h1")]
    assert {"source:inst-h1", "visit-card:inst-h1:01", "certificate:01"} <= set(codes)
    assert (await managing.by_oid(connection, str(found.oid))).code == found.code
    assert await _code_of(managing.by_oid(connection, "1.2.3")) == "EMP-2001"


async def test_domains_are_made_changed_and_suspended(connection: Connection) -> None:
    await _institution(connection)
    wanted = DomainToMake(
        code="card:ticket",
        kind="card",
        name_zh="号票",
        name_en="ticket",
        format="[0-9]{6}",
        valid_days=1,
        reusable=True,
    )
    made = await managing.create(connection, wanted, BY)
    assert (made.version, made.oid) == (1, catalogue.oid_of("card:ticket"))
    assert await _code_of(managing.create(connection, wanted, BY)) == "EMP-2009"
    changed = await managing.change(
        connection, "card:ticket", DomainChange(oid="1.2.156.7", trusted=("inst-h1",)), version=1, change=BY
    )
    assert (changed.version, changed.trusted) == (2, ("inst-h1",))
    assert (await managing.by_oid(connection, "1.2.156.7")).code == "card:ticket"
    late = managing.change(connection, "card:ticket", DomainChange(format=""), version=1, change=BY)
    assert await _code_of(late) == "EMP-2010"
    closed = await managing.change(connection, "certificate:03", DomainChange(state="suspended"), version=1, change=BY)
    assert closed.state == "suspended"
    assert (await managing.read(connection, "certificate:03")).version == 2
    opened = await managing.change(connection, "certificate:03", DomainChange(state="active"), version=2, change=BY)
    assert opened.version == 3
    told = await managing.versions(connection, "certificate:03")
    assert [(each.domain.version, each.domain.state, each.changed_by) for each in told] == [
        (3, "active", "op-1"),
        (2, "suspended", "op-1"),
    ]
    rows = await connection.execute(text("SELECT action, object_id FROM kit_audit_event ORDER BY id"))
    assert [tuple(row) for row in rows] == [
        ("domains:create", "card:ticket"),
        ("domains:change", "card:ticket"),
        ("domains:suspend", "certificate:03"),
        ("domains:resume", "certificate:03"),
    ]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"code": "card:02", "kind": "card"}, "EMP-2009"),
        ({"code": "visit-card:inst-h1:01", "kind": "visit_card"}, "EMP-2009"),
        ({"code": "visit-card:nobody:50", "kind": "visit_card"}, "EMP-2011"),
        ({"code": "visit-card:inst-h1:ab", "kind": "visit_card"}, "EMP-2011"),
        ({"code": "card:new", "kind": "region"}, "EMP-2011"),
        ({"code": "card:new", "kind": "card", "oid": "2.16.156.10011.1.3"}, "EMP-2009"),
        ({"code": "card:new", "kind": "card", "oid": "1.02"}, "EMP-2011"),
        ({"code": "card:new", "kind": "card", "check_rule": "magic"}, "EMP-2011"),
        ({"code": "card:new", "kind": "card", "format": "(a*)*"}, "EMP-2011"),
        ({"code": "card:new", "kind": "card", "valid_days": 0}, "EMP-2011"),
    ],
)
async def test_a_domain_that_judges_nothing_is_refused(
    connection: Connection, wanted: dict[str, Any], code: str
) -> None:
    await _institution(connection)
    made = msgspec.convert({"name_zh": "新", "name_en": "new", **wanted}, DomainToMake)
    assert await _code_of(managing.create(connection, made, BY)) == code


@pytest.mark.parametrize(
    ("trusted", "institution", "caller", "how"),
    [
        ((), "inst-h1", "his-1", "clear"),
        ((), "inst-h2", "his-2", "none"),
        ((), None, "app-1", "none"),
        (("inst-h2",), "inst-h2", "his-2", "clear"),
        (("app-1",), None, "app-1", "clear"),
    ],
)
def test_whose_visit_cards_are_seen_by_whom(
    trusted: tuple[str, ...], institution: str | None, caller: str, how: str
) -> None:
    scope = Scope(institution_id=institution, caller_id=caller)
    assert visibility.sight("visit-card:inst-h1:01", trusted, None, scope) == how
