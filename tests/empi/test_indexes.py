"""The three indexes have every field that the guiding plan names (5.2.5.1 to 5.2.5.3), and their page says where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yimatong.empi import models
from yimatong.empi.identifiers import catalogue, rules
from yimatong.empi.persons.schemas import SealedFacts

PAGE = (Path(__file__).parents[2] / "docs" / "spec" / "indexes.md").read_text()
SEALED = "sealed"

FIELDS = {
    "人索引": {
        "居民唯一 ID 号": ("empi_person", "mpi"),
        "身份证号码": (SEALED, "id_number"),
        "姓名": (SEALED, "name"),
        "性别": ("empi_person", "sex"),
        "民族": (SEALED, "nation"),
        "地址": (SEALED, "address"),
        "婚姻状态": ("empi_person", "marital"),
        "职业类型": (SEALED, "occupation"),
    },
    "卡索引": {
        "卡唯一 ID 号": ("empi_medium", "medium_id"),
        "卡号": ("empi_medium", "number_sealed"),
        "卡类型": ("empi_medium", "kind"),
        "卡芯片号": ("empi_medium", "chip_sealed"),
        "卡状态": ("empi_medium", "status"),
        "发卡机构": ("empi_medium", "issuer"),
    },
    "人卡关系": {
        "人卡关系唯一 ID 号": ("empi_identifier", "relation_id"),
        "居民唯一 ID 号": ("empi_identifier", "mpi"),
        "卡唯一 ID 号": ("empi_identifier", "medium_id"),
        "应用域": ("empi_identifier", "application_domain"),
    },
}
TABLES = {table.name: table for table in (models.person, models.medium, models.identifier)}


@pytest.mark.parametrize(
    ("field", "place"), [(name, place) for fields in FIELDS.values() for name, place in fields.items()]
)
def test_a_field_of_the_plan_has_its_place(field: str, place: tuple[str, str]) -> None:
    table, column = place
    known = SealedFacts.__struct_fields__ if table == SEALED else TABLES[table].c.keys()
    assert column in known, field


def test_the_page_tells_every_field() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")]
    for index, fields in FIELDS.items():
        start = next(number for number, row in enumerate(rows) if row[0] == index)
        told = {row[1].split(" (")[0]: row[2] for row in rows[start : start + len(fields)]}
        for field, (table, column) in fields.items():
            where = f"`{column}`" if table == SEALED else f"`{table}.{column}`"
            assert where in told[field], (index, field)


def test_the_page_names_every_domain_and_application_domain() -> None:
    for code in catalogue.STANDARD:
        covered = code.startswith(("certificate:0", "certificate:9", "card:0", "card:99")) or f"`{code}`" in PAGE
        assert covered, code
    codes = [*catalogue.STANDARD, "visit-card:i:01", "source:i", "region:610000"]
    for code in codes:
        assert f"`{re.sub('institution:.*', 'institution:<id>', rules.application_of(code))}`" in PAGE, code
    for code in catalogue.VISIT_CARD_TYPES:
        assert f"({code})" in PAGE
