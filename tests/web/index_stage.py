"""Persons and reviews for the pages of the person index, on top of ``stage``: twins, long names, 10,000 rows."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import insert

from yimatong.empi.matching.facts import FieldEvidence
from yimatong.empi.models import certificate, change, contribution, double_check, person, review
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit import clock
from yimatong.kit.db import raw
from yimatong.standards import id_number

HOSPITAL, VILLAGE = "inst-h1", "inst-v1"
ALIKE = (
    FieldEvidence("id_number", "slip", 6.2),
    FieldEvidence("birth_date", "exact", 8.9),
    FieldEvidence("name", "homophone", 4.1),
    FieldEvidence("phone", "else", -1.3),
    FieldEvidence("address", "partial", 2.4),
)
TWINS = (
    FieldEvidence("birth_date", "exact", 8.9),
    FieldEvidence("address", "exact", 7.7),
    FieldEvidence("phone", "exact", 9.1),
    FieldEvidence("name", "similar", 1.2),
    FieldEvidence("id_number", "two_valid", -14.0),
)


def number(first17: str) -> str:
    return first17 + id_number.check_digit(first17)


def slipped(identity: str) -> str:
    """Return an identity number with one digit typed wrongly."""
    return identity[:-3] + str((int(identity[-3]) + 1) % 10) + identity[-2:]


def facts(name: str, **values: str) -> SealedFacts:
    known = {"id_type": "01" if values.get("id_number") else "", "id_number": "", "phone": "", "address": ""}
    return SealedFacts(name=name, **(known | values))


async def put(
    tx: Any, parts: Any, said: list[tuple[SealedFacts, str, int]], *, sex: str, born: date | None, at: datetime
) -> UUID:
    """Enter a person as these (facts, provider, proof level) say; the first is the golden record."""
    mpi, sealer, blinder = uuid4(), await parts.vault.sealer(), await parts.vault.blinder()
    golden = said[0][0]
    row = {"sex": sex, "birth_date": born, "search_tokens": []}
    await tx.execute(
        insert(person).values(
            mpi=mpi, sealed=sealer.seal(msgspec.json.encode(golden), aad(mpi)), **row,
            region_code=golden.id_number[:6] or None, created_at=at, changed_at=at,
        )
    )  # fmt: skip
    for index, (one, provider, level) in enumerate(said):
        await tx.execute(
            insert(contribution).values(
                mpi=mpi, contribution_id=f"ctb_{secrets.token_hex(8)}", provider=provider, kind="registration",
                sealed=sealer.seal(msgspec.json.encode(one), aad(mpi)), sex=sex, birth_date=born,
                real_name_method="stated", real_name_level=level, real_name_at=at,
                at=at - timedelta(minutes=index),
            )
        )  # fmt: skip
    if golden.id_number:
        await tx.execute(
            insert(certificate).values(
                id_type=golden.id_type, id_blind=blinder.id_blind(golden.id_type, golden.id_number), mpi=mpi,
                claimed_at=at,
            )
        )  # fmt: skip
    await tx.execute(insert(change).values(mpi=mpi, kind="registered", provider=said[0][1], version=1, at=at))
    return mpi


_COUNT = count(secrets.randbelow(400))


def _fresh(below: int) -> int:
    """Return a sequence of identity numbers, from 100 on, that comes again only after ``below`` others."""
    return 100 + next(_COUNT) % below


class Index:
    """What was put in, and the ids of the reviews by a name."""

    def __init__(self) -> None:
        self.mpis: dict[str, UUID] = {}
        self.reviews: dict[str, str] = {}

    async def build(self, tx: Any, parts: Any) -> None:
        """Three pairs: one that is alike, twins with two valid numbers, and one with long names and no certificate."""
        now = clock.now()
        mark = secrets.randbelow(80) + 10
        address = "新疆维吾尔自治区喀什地区莎车县城中街道古勒巴格社区文化路一百二十八号院三单元五〇二室"
        long_id = number(f"6531251978{mark % 12 + 1:02d}02{_fresh(900):03d}")
        pairs = {
            "alike": (
                [
                    (facts("阿卜杜热合曼·买买提", id_number=long_id, phone="13909980011", address=address), "his-1", 3),
                    (facts("阿卜杜热合曼买买提", id_number=long_id, phone="13909980012", address="莎车县"), "app-1", 1),
                ],
                [(facts("阿布都热合曼·买买提", said_type="01", said_number=slipped(long_id),
                        phone="13909980013", address=address[:22]), "term-2", 1)],
                "1", date(1978, mark % 12 + 1, 2), ALIKE, (), "probable", VILLAGE,
            ),
            "twins": (
                [(facts("王小明", id_number=number(f"610102201503{mark % 20 + 10}{_fresh(400):03d}"),
                        phone="13800138001", address="陕西省西安市新城区示范路 1 号"), "his-1", 3)],
                [(facts("王小亮", id_number=number(f"610102201503{mark % 20 + 10}{_fresh(400) + 400:03d}"),
                        phone="13800138001", address="陕西省西安市新城区示范路 1 号"), "his-1", 3)],
                "1", date(2015, 3, mark % 20 + 10), TWINS, ("twins", "two_valid_ids"), "cluster_conflict", HOSPITAL,
            ),
            "newborn": (
                [(facts("李秀英之女", phone="13800138002", mother_name="李秀英"), "his-1", 1)],
                [(facts("张安琪", phone="13800138002", mother_name="李秀英"), "app-1", 1)],
                "2", date(2026, 11, 1), ALIKE[1:4], ("newborn",), "probable", HOSPITAL,
            ),
        }  # fmt: skip
        for name, (left, right, sex, born, evidence, guards, kind, place) in pairs.items():
            ours = await put(tx, parts, left, sex=sex, born=born, at=now - timedelta(days=3))
            theirs = await put(tx, parts, right, sex=sex, born=born, at=now - timedelta(hours=30))
            self.mpis |= {f"{name}.left": ours, f"{name}.right": theirs}
            weight = sum(each.weight for each in evidence) - 15.6
            wanted = NewReview(
                left=ours, right=theirs, kind=kind, weight=weight, probability=1 / (1 + 2.0**-weight),
                evidence=evidence, guards=guards, institution_id=place,
            )  # fmt: skip
            (self.reviews[name],) = await reviews.open_many(await raw(tx), [wanted], now - timedelta(hours=26))


async def many(tx: Any, parts: Any, *, rows: int) -> None:
    """Put so many reviews into the queue, between a few hundred persons."""
    now = clock.now()
    people = [
        await put(tx, parts, [(facts(f"张伟{at}"), "his-1", 1)], sex="1", born=date(1980, 1, 1), at=now)
        for at in range(150)
    ]
    people.sort()
    pairs = [(a, b) for index, a in enumerate(people) for b in people[index + 1 :]][:rows]
    await tx.execute(
        insert(review),
        [
            {
                "review_id": f"rev_many{at:06d}", "left_mpi": a, "right_mpi": b, "kind": "probable", "weight": 3.0,
                "probability": 0.9, "risk": at % 70, "institution_id": HOSPITAL if at % 3 else VILLAGE,
                "opened_at": now - timedelta(minutes=at % 5000),
            }
            for at, (a, b) in enumerate(pairs)
        ],
    )  # fmt: skip


async def drawn(tx: Any, review_id: str, *, first: str, outcome: str) -> None:
    """Draw a decided review for a second judge."""
    await tx.execute(
        insert(double_check).values(
            review_id=review_id, first_operator=first, first_outcome=outcome, drawn_at=clock.now()
        )
    )
