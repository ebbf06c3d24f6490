"""Records of providers for the tests of registration, and what the tables hold of them."""

from __future__ import annotations

import random
import secrets
from itertools import cycle, product
from types import SimpleNamespace
from typing import Any

import psycopg
from core_world import make_resident

from yimatong.standards.id_number import check_digit

_FAMILY, _GIVEN = ("欧阳", "慕容", "诸葛", "宇文", "司徒"), "璟瑄珩琚瑶琰玥琬瑜璇"
_NAMES = ["".join(each) for each in product(_FAMILY, _GIVEN, _GIVEN)]
random.Random(7).shuffle(_NAMES)
_TURN = cycle(_NAMES)


def someone(**facts: Any) -> dict[str, Any]:
    """Return what a hospital says of a resident with a certificate; every one is another person."""
    made = vars(make_resident(new_name()))
    made |= {
        "phone": new_phone(),
        "address": f"陕西省西安市雁塔区科技路{secrets.randbelow(900) + 1}号{secrets.randbelow(90) + 1}室",
    }
    return {**made, **facts}


def bare(**facts: Any) -> dict[str, Any]:
    """Return the same of somebody who has no certificate with her."""
    made = someone(**facts)
    return {key: value for key, value in made.items() if key not in ("id_type", "id_number")}


def new_name() -> str:
    """Return a rare name that nobody has had for 500 people."""
    return next(_TURN)


def new_phone() -> str:
    return f"139{secrets.randbelow(10**8):08d}"


def another_number(resident: dict[str, Any]) -> str:
    """Return another valid identity number of the same birth date and sex."""
    known = resident["id_number"]
    first17 = known[:14] + f"{(int(known[14:17]) + 2) % 1000:03d}"
    return first17 + check_digit(first17)


def record(resident: dict[str, Any], *, owner: str = "inst-h1", number: str = "", **more: Any) -> dict[str, Any]:
    """Return the body of a registration under a number of the provider's own."""
    return {
        "source": {"domain": f"source:{owner}", "number": number or secrets.token_hex(8).upper()},
        "resident": resident,
        **more,
    }


class Tables:
    """Looks into the database of the world, beside every service."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, sql: str, *values: Any) -> list[SimpleNamespace]:
        with psycopg.connect(self._url, row_factory=psycopg.rows.namedtuple_row) as connection:
            return [SimpleNamespace(**row._asdict()) for row in connection.execute(sql, values).fetchall()]

    def one(self, sql: str, *values: Any) -> Any:
        (row,) = self.rows(sql, *values)
        return row

    def count(self, table: str, where: str = "true", *values: Any) -> int:
        return int(self.one(f"SELECT count(*) AS n FROM {table} WHERE {where}", *values).n)
