"""``ymt bench population``: a made-up Chinese population with the truth, for judging linkage; nobody in it exists.

Families live together: a couple, children (some of them twins), at times a grandparent; they share the address and
often the phone. Each person is registered once to four times, and later registrations err as people and windows err:
numbers left out or mistyped, phones and addresses changed, dates slipped, names by ear, by look, in old form or in
pinyin, newborns under their mother's name. Every rate is an argument; the same seed makes the same rows.

Columns: ``record_id, name, sex, birth_date, id_type, id_number, phone, address, person`` (``person`` is the truth).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import _errors
import _names
from _persons import Levels, Person

from yimatong.standards.id_number import check_digit
from yimatong.standards.regions import divisions

COLUMNS = ("record_id", "name", "sex", "birth_date", "id_type", "id_number", "phone", "address", "person")
TODAY = date(2026, 11, 1)
_PREFIXES = """
134 135 136 137 138 139 150 151 152 157 158 159 182 183 187 188 130 131 132 155 156 185 186 133 153 177 180 181 189 199
"""
PREFIXES = _PREFIXES.split()
REPEATS, REPEAT_WEIGHTS = (1, 2, 3, 4), (66, 24, 7, 3)


class Population:
    """Draws families, then their records, all from one seed."""

    def __init__(self, *, seed: int, levels: Levels) -> None:
        self.draw = Random(seed)
        self.levels = levels
        self.surnames = _names.weighted(_names.SURNAMES)
        self.given = {
            (age, sex): _names.weighted(getattr(_names, f"GIVEN_{age}_{sex}"))
            for age in ("OLD", "MID", "NEW")
            for sex in "MF"
        }
        known = divisions()
        self.counties = [code for code in known if len(code) == 6 and code.startswith("61")]
        self.homes = self.counties * 8 + [code for code in known if len(code) == 6]
        self.names = known
        self.serial: dict[tuple[str, date], int] = {}
        self.count = 0

    def rows(self, number: int) -> Iterator[tuple[str, ...]]:
        """Yield ``number`` records in no particular order (families stand near each other)."""
        made = 0
        while made < number:
            family = self.family()
            for person in family:
                for record in self.records(person, family):
                    if made < number:
                        made += 1
                        yield (f"r{made:08d}", *record, f"p{person.number:08d}")

    def family(self) -> list[Person]:
        """Draw one household."""
        draw, levels = self.draw, self.levels
        county, address, landline = draw.choice(self.counties), "", self.phone()
        address = self.address(county)
        head_age = draw.choices(range(20, 90), [1.2 if 25 < age < 60 else 0.7 for age in range(20, 90)])[0]
        if draw.random() < levels.minority:
            return [self.minority(county, address)]
        father = self.person("M", self.surname(), head_age, county, address, landline if draw.random() < 0.3 else "")
        if draw.random() < 0.2:
            return [father]
        mother = self.person("F", self.surname(), max(20, head_age + draw.randint(-4, 3)), county, address, "")
        if draw.random() < 0.2:
            mother.phone = father.phone
        family = [father, mother]
        surname = father.surname if draw.random() < 0.92 else mother.surname
        eldest = min(45, head_age - draw.randint(21, 32))
        for _ in range(draw.choices((0, 1, 2, 3), (20, 48, 27, 5))[0]):
            if eldest < 0 or (eldest > 24 and draw.random() < 0.6):
                break
            family += self.birth(surname, eldest, mother, father, county)
            eldest -= draw.randint(1, 6)
        if draw.random() < 0.15 and head_age < 60:
            older = self.person("F", self.surname(), head_age + draw.randint(21, 32), county, address, "")
            older.phone = draw.choice((father.phone, older.phone))
            family.append(older)
        return family

    def birth(self, surname: str, age: int, mother: Person, father: Person, county: str) -> list[Person]:
        """Draw the children of one birth: one, or twins."""
        draw = self.draw
        newborn = draw.random() < self.levels.newborns * 8 and age <= 2
        first = self.person(draw.choice("MF"), surname, 0 if newborn else age, county, mother.address, mother.phone)
        children = [first]
        if draw.random() < self.levels.twin_births:
            sex = first.sex if draw.random() < 0.66 else ("F" if first.sex == "M" else "M")
            second = self.person(sex, surname, age, county, mother.address, mother.phone, born=first.born)
            if len(first.given) == 2 and draw.random() < 0.5:
                second.given = first.given[0] + draw.choice(_names.NEW_CHARACTERS)
            while second.given == first.given:
                second.given = self.given_name(sex, age)
            children.append(second)
        for order, child in enumerate(children):
            child.mother = mother.name
            child.home = [mother.phone, father.phone]
            if age > 16:
                child.phone = self.phone()
            if newborn:
                kind = "子" if child.sex == "M" else "女"
                child.newborn = f"{mother.name}之{'大二'[order] if len(children) > 1 else ''}{kind}"
                child.id_number = mother.id_number if draw.random() < 0.2 else child.id_number
        return children

    def person(  # noqa: PLR0917 -- the facts of a person in their usual order
        self, sex: str, surname: str, age: int, county: str, address: str, phone: str, *, born: date | None = None
    ) -> Person:
        """Draw somebody; without a phone she has one of her own."""
        born = born or TODAY - timedelta(days=age * 365 + self.draw.randint(0, 364))
        self.count += 1
        home = county if self.draw.random() < 0.7 else self.draw.choice(self.homes)
        return Person(
            number=self.count,
            surname=surname,
            given=self.given_name(sex, age),
            sex=sex,
            born=born,
            id_number=self.id_number(home, born, sex),
            phone=phone or self.phone(),
            address=address,
        )

    def minority(self, county: str, address: str) -> Person:
        """Draw somebody whose name has a middle dot."""
        sex = self.draw.choice("MF")
        person = self.person(sex, "", self.draw.randint(1, 80), county, address, "")
        own = self.draw.choice(_names.MINORITY_M if sex == "M" else _names.MINORITY_F)
        person.given = f"{own}·{self.draw.choice(_names.MINORITY_M)}"
        return person

    def surname(self) -> str:
        """Draw a surname by its share."""
        return self.draw.choices(*self.surnames)[0]

    def given_name(self, sex: str, age: int) -> str:
        """Draw a given name that people of that age have."""
        draw = self.draw
        era = "OLD" if age > 58 else "MID" if age > 26 else "NEW"
        if draw.random() < 0.45:
            return draw.choices(*self.given[era, sex])[0]
        characters = getattr(_names, f"{era}_CHARACTERS")
        if draw.random() < 0.01:
            return draw.choice(characters) + draw.choice(_names.RARE)
        two = draw.random() < (0.85 if era != "MID" else 0.7)
        return draw.choice(characters) + (draw.choice(characters) if two else "")

    def id_number(self, county: str, born: date, sex: str) -> str:
        """Draw a valid number that nobody else has."""
        used = self.serial.get((county, born), self.draw.randint(0, 200) * 2)
        self.serial[county, born] = used + 2
        first17 = f"{county}{born:%Y%m%d}{(used + (1 if sex == 'M' else 2)) % 1000:03d}"
        return first17 + check_digit(first17)

    def phone(self) -> str:
        """Draw a mobile number."""
        return f"{self.draw.choice(PREFIXES)}{self.draw.randrange(10**8):08d}"

    def address(self, county: str) -> str:
        """Draw an address in a county, in full."""
        draw, known = self.draw, self.names
        region = known[county[:2]] + known.get(county[:4], "") + known[county]
        if known[county].endswith("县") and draw.random() < 0.7:
            town, village = draw.choice(_names.TOWNS), draw.choice(_names.VILLAGES)
            return f"{region}{town}{village}{draw.randint(1, 9)}组{draw.randint(1, 120)}号"
        street = f"{draw.choice(_names.STREETS)}{draw.randint(1, 299)}号"
        estate = draw.choice(_names.ESTATES) if draw.random() < 0.6 else ""
        floor, door = draw.randint(1, 28), draw.randint(1, 4)
        return f"{region}{street}{estate}{draw.randint(1, 30)}号楼{draw.randint(1, 4)}单元{floor}{door:02d}室"

    def records(self, person: Person, family: list[Person]) -> Iterator[tuple[str, ...]]:
        """Yield what one to four windows wrote of somebody."""
        draw, levels = self.draw, self.levels
        number = draw.choices(REPEATS, REPEAT_WEIGHTS)[0]
        own = person.id_number
        if person.newborn and draw.random() < 0.8:
            number = max(number, 2)
        for turn in range(number):
            later = turn > 0
            if later and draw.random() < levels.phone_changed:
                person.phone = draw.choice(person.home) if person.home and draw.random() < 0.4 else self.phone()
            if later and draw.random() < levels.address_changed:
                person.address = self.address(draw.choice(self.counties))
            placeholder = bool(person.newborn) and not later
            name = person.newborn if placeholder else _errors.name(draw, levels, person, later=later)
            id_number = own
            if person.newborn and later and own[6:14] != f"{person.born:%Y%m%d}":
                id_number = own = self.id_number(own[:6], person.born, person.sex)
            missing = levels.id_missing_later if later else levels.id_missing_first
            if draw.random() < missing or (placeholder and own[6:14] == f"{person.born:%Y%m%d}"):
                id_number = ""
            phone = person.phone
            if draw.random() < levels.phones_swapped:
                phone = draw.choice(family).phone
            yield (
                name,
                _errors.sex(draw, levels, person.sex),
                _errors.birth_date(draw, levels, person.born, later=later),
                "01" if id_number else "",
                _errors.id_number(draw, levels, id_number, person.born),
                "" if draw.random() < levels.phone_missing else phone,
                "" if draw.random() < levels.address_missing else _errors.address(draw, levels, person.address),
            )


def write(path: Path, rows: Iterator[tuple[str, ...]]) -> None:
    """Write the rows as Parquet (by the name's end) or CSV."""
    if path.suffix == ".parquet":
        import pyarrow as pa  # noqa: PLC0415 -- heavy, and CSV needs it not
        import pyarrow.parquet  # noqa: PLC0415

        columns = list(zip(*rows, strict=True))
        table = pa.table({name: pa.array(column) for name, column in zip(COLUMNS, columns, strict=True)})
        pyarrow.parquet.write_table(table, path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def add_levels(parser: argparse.ArgumentParser) -> None:
    """Give a command line one option for each level."""
    for level in fields(Levels):
        parser.add_argument(f"--{level.name.replace('_', '-')}", type=float, default=level.default, metavar="RATE")


def levels_of(arguments: argparse.Namespace) -> Levels:
    """Return the levels that a command line asks for."""
    return replace(Levels(), **{level.name: getattr(arguments, level.name) for level in fields(Levels)})


def main(argv: Sequence[str]) -> int:
    """Write a population to a file."""
    parser = argparse.ArgumentParser(prog="ymt bench population", description=__doc__)
    parser.add_argument("file", type=Path, help="*.csv or *.parquet")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    add_levels(parser)
    arguments = parser.parse_args(argv)
    begun = time.perf_counter()
    write(arguments.file, Population(seed=arguments.seed, levels=levels_of(arguments)).rows(arguments.rows))
    print(f"figure: population rows={arguments.rows} seconds={time.perf_counter() - begun:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
