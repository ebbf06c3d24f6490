"""Texts that no keyboard makes, in every field that somebody fills: each is refused or kept, and harms no neighbour."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from registry_world import Office, new_number, office  # noqa: F401 -- a fixture

from yimatong_sdk import ApiError

PATH = "/api/v1/physical-cards/deliveries"
HOSTILE = (
    "\0",
    "a\0b",
    "NULL",
    "null",
    '"',
    "\\",
    '{"',
    "},{",
    "a,b",
    "\n",
    "\u202e",
    "\U0001f600",
    "'; DROP TABLE x; --",
)
FIELDS = (
    "card_number",
    "card_type",
    "chip_number",
    "issuer",
    "name",
    "sex",
    "birth_date",
    "id_type",
    "id_number",
    "phone",
    "address",
)


def test_rows_of_a_delivery_harm_no_neighbour(office: Office, new_resident: Callable[[], SimpleNamespace]) -> None:  # noqa: F811
    rows: list[dict[str, Any]] = []
    for field in FIELDS:
        for text in HOSTILE:
            row = {"line": len(rows) + 1, "card_number": new_number(), "card_type": "01", **vars(new_resident())}
            most = {"card_type": 8, "sex": 8, "birth_date": 10, "id_type": 8}.get(field, 19)
            rows.append({**row, field: text[:most]})
    rows.append({"line": len(rows) + 1, "card_number": new_number(), "card_type": "01", **vars(new_resident())})
    for start in range(0, len(rows), 100):
        view = office.his.call("POST", PATH, {"delivery": "hostile", "rows": rows[start : start + 100]})
    office.register_arrivals()
    view = office.his.call("GET", f"{PATH}/hostile")
    assert view["waiting"] == 0
    assert view["done"] >= 1


def _code_of(client: Any, method: str, path: str, body: Any) -> str:
    try:
        client.call(method, path, body)
    except ApiError as refused:
        return str(refused.code)
    return ""


def test_hostile_texts_at_the_window_harm_no_neighbour(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    """Sixteen at once share a transaction: whoever is not hostile is registered."""
    hostile = [
        {**vars(new_resident()), "address": "", "occupation": "", field: text}
        for field in (*vars(new_resident()), "address", "occupation", "nation", "marital")
        for text in HOSTILE
    ]
    good = [vars(new_resident()) for _ in hostile[::8]]
    both = [each for pair in zip(*(hostile[part::8] for part in range(8)), good, strict=False) for each in pair]
    bodies = [{"resident": each, "real_name": "certificate_read"} for each in both]
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda body: _code_of(office.his, "POST", "/api/v1/accounts", body), bodies))
    assert not [code for code in codes if code.startswith("KIT-5")]
    assert {code for each, code in zip(both, codes, strict=True) if each in good} == {""}


def test_hostile_codes_harm_no_neighbour(office: Office, new_resident: Callable[[], SimpleNamespace]) -> None:  # noqa: F811
    """Rubbish and good codes in one batch: rubbish is refused as rubbish, every good one is verified."""
    good = [
        office.his.call("POST", "/api/v1/accounts", {"resident": vars(new_resident()), "real_name": "certificate_read"})
        for _ in range(8)
    ]
    vuid = good[0]["vuid"]
    rubbish = [*HOSTILE, *(f"{vuid}:1::{text}" for text in HOSTILE), *(f"{vuid}:0:{text}" for text in HOSTILE)]
    bodies = [{"code": text, "purpose": "visit"} for text in (*rubbish, *(each["static_code"] for each in good * 4))]
    bodies[1::2], bodies[::2] = bodies[: len(bodies[1::2])], bodies[len(bodies[1::2]) :]
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda body: _code_of(office.his, "POST", "/api/v1/codes/verify", body), bodies))
    for body, code in zip(bodies, codes, strict=True):
        parses = body["code"].endswith((":1", "::NULL", "::null"))  # another platform's number may stand there
        assert (code == "") if parses else (code in RUBBISH), body


RUBBISH = ("CRD-2001", "CRD-2002", "CRD-2013", "KIT-1001")
