"""A third made-up population, of a hospital group in the south: what registration desks really hand over.

Three generations under one roof and one clan name to a village; students who all give the address of their college;
telephone numbers that were somebody else's some years ago; default dates and default phones shared by thousands; a
number typed into the wrong person of the family; marks and digits behind a name; sex and address often not said.
Rows are dictionaries with the columns of ``bench/population.py``, all text. It was drawn up before it was ever linked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from yimatong.standards.id_number import check_digit

_SURNAMES = "陈林黄郑吴蔡许谢洪庄苏叶邱赖廖简游沈卢傅阮戴柯涂温丘詹池曾颜" + "陈林黄" * 9 + "吴蔡郑" * 3
_BY_AGE = {
    "old": ("水木金火土生财来发根英妹娘花桂凤秀月珠治", "生财旺兴福来发土水火木金英花妹娇莲娥珠治"),
    "mid": ("志文建美丽淑惠雅俊明国家素宗育", "雄辉明贤豪德成福隆忠玲珍娟华贞霞卿芬惠琴"),
    "new": ("宥承宇品冠柏俊子佳怡雅筑诗思芷恩", "翔恩廷睿叡勋霖翰谦毅涵妤萱蓁晴玟彤瑄甯庭"),
}
_SOUNDS = {"辉": "晖徽", "贤": "闲", "玲": "铃伶", "惠": "慧蕙", "涵": "含", "霖": "琳", "萱": "宣", "福": "富"}
_LOOKS = {"廷": "延", "睿": "眷", "娟": "捐", "财": "才", "妹": "姝", "宥": "有", "治": "冶", "晴": "睛", "雄": "椎"}
_MARKS = ("(急诊)", "（门诊）", " ", "  ", "1", "2", "(体检)", "01", "*")
_CODES = ("350203", "350211", "350582", "350626", "360102", "440305")
_PLACES = {
    "350203": "福建省厦门市思明区",
    "350211": "厦门市集美区",
    "350582": "福建省泉州市晋江市",
    "350626": "福建省漳州市东山县",
    "360102": "江西南昌市东湖区",
    "440305": "广东省深圳市南山区",
}
_VILLAGES = ("后溪村", "东园村", "岱吉村", "前埔村", "石厝村", "下店村", "铜砵村")
_ROADS = ("湖滨南路", "莲前西路", "杏林湾路", "鹭江道", "南门街", "中航路", "福埔路")
_COLLEGES = (
    ("350211", "厦门市集美区理工路600号集美职业学院学生公寓"),
    ("350582", "泉州市安吉路398号闽南师范学院学生宿舍"),
    ("360102", "南昌市学府大道99号赣江学院"),
)
_DEFAULT_PHONES = ("13800000000", "00000000000", "05920000000", "13859912345")
_TODAY = date(2026, 10, 1)


class Person(NamedTuple):
    """Somebody as she is; ``relatives`` are the numbers of those who live with her."""

    name: str
    sex: str
    born: date
    number: str
    phone: str
    address: str
    relatives: tuple[str, ...]


class Desk:
    """Draws people and what the desks wrote of them."""

    def __init__(self, seed: int) -> None:
        """Begin with nobody."""
        self.chance = random.Random(seed)
        self.given_up: list[str] = []
        self.numbers: set[str] = set()

    def phone(self) -> str:
        """Return a new number, or one that somebody gave up."""
        if len(self.given_up) > 200 and self.chance.random() < 0.15:
            return self.given_up.pop(self.chance.randrange(len(self.given_up)))
        return f"1{self.chance.choice('35789')}{self.chance.randrange(10**9):09d}"

    def number(self, code: str, born: date, sex: str) -> str:
        """Return an identity number that is nobody else's."""
        while True:
            serial = self.chance.randrange(0, 490) * 2 + (sex == "1")
            first17 = f"{code}{born:%Y%m%d}{serial:03d}"
            if first17 not in self.numbers:
                self.numbers.add(first17)
                return first17 + check_digit(first17)

    def given(self, age: int) -> str:
        """Return a given name of a generation."""
        first, second = _BY_AGE["old" if age > 60 else "mid" if age > 28 else "new"]
        if self.chance.random() < 0.1:
            return self.chance.choice(second)
        return self.chance.choice(first) + self.chance.choice(second)

    def household(self) -> list[Person]:
        """Draw grandparents, parents and children who share a door and often a phone."""
        chance = self.chance
        code = chance.choice(_CODES)
        clan = chance.choice(_SURNAMES)
        if chance.random() < 0.45:
            home = f"{_PLACES[code]}{chance.choice(_VILLAGES)}{chance.randint(1, 260)}号"
        else:
            home = f"{_PLACES[code]}{chance.choice(_ROADS)}{chance.randint(1, 500)}号{chance.randint(101, 2604)}室"
        line, age = self.phone(), chance.randint(26, 52)
        people = [(clan, age, "1"), (chance.choice(_SURNAMES), age - chance.randint(-2, 5), "2")]
        if chance.random() < 0.5:
            people += [(clan, age + chance.randint(22, 32), "1")]
            people += [(chance.choice(_SURNAMES), age + chance.randint(20, 30), "2")]
        years = age - chance.randint(22, 30)
        generation = chance.choice(_BY_AGE["new"][0])
        found = []
        for surname, each, sex in people[: chance.randint(1, 4)]:
            found.append((surname + self.given(each), sex, self.born(each)))
        while years > 0 and chance.random() < 0.65:
            born = self.born(years)
            for _ in range(2 if chance.random() < 0.025 else 1):
                name = clan + (generation + chance.choice(_BY_AGE["new"][1]) if chance.random() < 0.5 else "")
                name = name if len(name) > 1 else clan + self.given(years)
                if name not in {one[0] for one in found}:
                    found.append((name, chance.choice("12"), born))
            years -= chance.randint(1, 5)
        numbers = [self.number(code, born, sex) for _name, sex, born in found]
        return [
            Person(name, sex, born, number, line if chance.random() < 0.5 else self.phone(), home, tuple(numbers))
            for (name, sex, born), number in zip(found, numbers, strict=True)
        ]

    def born(self, age: int) -> date:
        """Return a day of birth."""
        return _TODAY - timedelta(days=max(age, 0) * 365 + self.chance.randrange(365))

    def student(self) -> Person:
        """Draw somebody of nineteen to twenty-two who lives at a college."""
        sex, (_, college) = self.chance.choice("12"), self.chance.choice(_COLLEGES)
        age = self.chance.randint(19, 22)
        born, name = self.born(age), self.chance.choice(_SURNAMES) + self.given(age)
        number = self.number(self.chance.choice(_CODES), born, sex)
        return Person(name, sex, born, number, self.phone(), college, (number,))

    def records(self, person: Person) -> Iterator[dict[str, str]]:
        """Yield what one to five visits left behind."""
        chance = self.chance
        phone, address = person.phone, person.address
        for turn in range(chance.choices((1, 2, 3, 4, 5), (60, 22, 10, 5, 3))[0]):
            if turn and chance.random() < 0.25:
                self.given_up.append(phone)
                phone = self.phone()
            if turn and chance.random() < 0.12:
                code = chance.choice(_CODES)
                address = (
                    f"{_PLACES[code]}{chance.choice(_ROADS)}{chance.randint(1, 500)}号{chance.randint(101, 2604)}室"
                )
            number = self.typed_number(person) if chance.random() > (0.28 if turn else 0.12) else ""
            yield {
                "name": self.typed_name(person.name),
                "sex": chance.choice(("", "0", "9")) if chance.random() < 0.15 else "男女"[int(person.sex) - 1],
                "birth_date": self.typed_date(person.born),
                "id_type": "01" if number else "",
                "id_number": number,
                "phone": chance.choices(_DEFAULT_PHONES, (5, 4, 2, 2))[0] if chance.random() < 0.08 else phone,
                "address": "" if chance.random() < 0.5 else address,
            }

    def typed_name(self, name: str) -> str:
        """Return a name as the desk left it."""
        chance = self.chance
        roll = chance.random()
        if roll < 0.035:
            return name + chance.choice(_MARKS)
        for table, below in ((_SOUNDS, 0.05), (_LOOKS, 0.065)):
            if roll < below and name[-1] in table:
                return name[:-1] + chance.choice(table[name[-1]])
        return name

    def typed_date(self, born: date) -> str:
        """Return a date, at times the one that the form begins with."""
        roll = self.chance.random()
        if roll < 0.025:
            return "1900-01-01"
        if roll < 0.035:
            return f"{born.year}-01-01"
        if roll < 0.042:
            return (born + timedelta(days=self.chance.choice((-30, -1, 1, 2, 10)))).isoformat()
        return born.isoformat()

    def typed_number(self, person: Person) -> str:
        """Return her number, with a slip at times, or that of somebody at home."""
        chance, number = self.chance, person.number
        roll = chance.random()
        if roll < 0.008:
            return chance.choice(person.relatives)
        if roll < 0.03:
            place = chance.randrange(17)
            return number[:place] + chance.choice("0123456789") + number[place + 1 :]
        return number


def rows(number: int, *, seed: int) -> Iterator[dict[str, str]]:
    """Yield rows; the same seed gives the same rows."""
    desk, made, count = Desk(seed), 0, 0
    while made < number:
        people = [desk.student()] if desk.chance.random() < 0.2 else desk.household()
        for person in people:
            count += 1
            for row in desk.records(person):
                if made < number:
                    made += 1
                    yield {"record_id": f"t{made}", **row, "person": f"q{count}"}
