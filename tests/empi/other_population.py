"""A second made-up population, built otherwise than ``bench/population.py``: nothing is ever tuned on it.

Other names, three children in a family, twins with and without numbers, abbreviated addresses, dates and numbers as
windows write them, default phones, blanks inside names, numbers corrected by the police station. Rows are
dictionaries with the columns of ``bench/population.py``, all text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

from yimatong.standards.id_number import check_digit

_FAMILY = "钱冯卫沈韩朱秦许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方" + "李王刘陈杨" * 6
_COMPOUND = ("欧阳", "司马", "诸葛")
_FIRST = "嘉思若景承明佩书晓国金春志文家永少美雅秋冬立正宗维启世光学海"
_SECOND = "琪宁航瑜川兰生祥豪敏慧芬彬坤源凯茹萍泉岳森涛珊钧琴棠峰贤莲诚山旺霖晴婵玮"
_ALONE = "勇宁凯俊丽红燕婷超楠璐昆帅蕾倩"
_SAME_SOUND = {"琪": "淇祺", "宁": "凝", "瑜": "钰玉", "慧": "惠", "峰": "锋丰", "玮": "伟", "丽": "莉", "婷": "亭"}
_NEAR = {"川": "州", "兰": "三", "茹": "菇", "宗": "崇", "思": "恩", "凯": "剀", "少": "小", "坤": "绅", "晴": "睛"}
_OLD_FORMS = {
    "张": "張",
    "陈": "陳",
    "刘": "劉",
    "兰": "蘭",
    "凤": "鳳",
    "丽": "麗",
    "学": "學",
    "维": "維",
    "国": "國",
}
_PINYIN = {
    "李": "Li",
    "王": "Wang",
    "刘": "Liu",
    "嘉": "jia",
    "琪": "qi",
    "思": "si",
    "敏": "min",
    "文": "wen",
    "慧": "hui",
}
_COUNTIES = (
    *(("610113", "西安雁塔"), ("610104", "西安市莲湖区"), ("610402", "咸阳秦都区"), ("610802", "榆林榆阳")),
    *(("610702", "汉中市汉台区"), ("610303", "宝鸡金台"), ("410105", "河南郑州金水区"), ("620102", "兰州城关区")),
)
_ROADS = ("含元路", "丰登南路", "汉宁大道", "陈仓大道", "迎宾路", "滨河东路", "明德门北街", "渭阳西路", "长乐坊巷")
_ESTATES = ("林凯城", "融创珑府", "曲江公馆", "纺织厂家属院", "水岸新城", "翠屏湾")


class Family:
    """Who lives together, and where."""

    def __init__(self, chance: random.Random) -> None:
        """Draw a home."""
        self.code, self.place = chance.choice(_COUNTIES)
        self.road, self.number = chance.choice(_ROADS), chance.randint(1, 400)
        self.estate = chance.choice(_ESTATES)
        self.door = (chance.randint(1, 40), chance.randint(1, 3), chance.randint(1, 33) * 100 + chance.randint(1, 6))
        self.phone = f"19{chance.randrange(10**9):09d}"

    def address(self, chance: random.Random) -> str:
        """Return the address as some window writes it."""
        block, unit, room = self.door
        tail = chance.choice(
            (
                f"{block}号楼{unit}单元{room}室",
                f"{block}#-{unit}-{room}",
                f"{block}栋{unit}单元{room}",
                f"{block}幢{unit}单元{room}号",
            )
        )
        region = chance.choice((self.place, "陕西省" + self.place if self.code.startswith("61") else self.place))
        return f"{region}{self.road}{self.number}号{self.estate}{tail}"


def rows(number: int, *, seed: int) -> Iterator[dict[str, str]]:
    """Yield rows; the same seed gives the same rows."""
    chance, made, person = random.Random(seed), 0, 0
    while made < number:
        for facts in _family(chance):
            person += 1
            for row in _records(chance, *facts):
                if made < number:
                    made += 1
                    yield {"record_id": f"x{made}", **row, "person": f"h{person}"}


def _family(chance: random.Random) -> Iterator[tuple[str, str, date, str, str, Family, bool]]:
    home = Family(chance)
    surname = chance.choice(_FAMILY) if chance.random() > 0.01 else chance.choice(_COMPOUND)
    age = chance.randint(24, 80)
    births = [(surname, age, 1), (chance.choice(_FAMILY), age - 2, 1)]
    if age < 60:
        births += [(surname, max(0, age - 24 - 3 * child), 2 if chance.random() < 0.02 else 1) for child in range(3)]
    for family_name, years, born_together in births[: chance.randint(1, 5)]:
        born = date(2026, 10, 1) - timedelta(days=years * 365 + chance.randrange(365))
        numbers = chance.random() > 0.08
        names = {family_name + _given(chance)}
        while len(names) < born_together:
            names.add(family_name + _given(chance))
        for name in sorted(names):
            sex = chance.choice("12")
            serial = chance.randrange(0, 499) * 2 + (1 if sex == "1" else 0)
            first17 = f"{home.code}{born:%Y%m%d}{serial:03d}"
            phone = home.phone if years < 18 or chance.random() < 0.2 else f"17{chance.randrange(10**9):09d}"
            yield name, sex, born, first17 + check_digit(first17), phone, home, numbers


def _given(chance: random.Random) -> str:
    if chance.random() < 0.2:
        return chance.choice(_ALONE)
    return chance.choice(_FIRST) + chance.choice(_SECOND)


def _records(  # noqa: PLR0917 -- the facts of a person
    chance: random.Random,
    name: str,
    sex: str,
    born: date,
    number: str,
    phone: str,
    home: Family,
    numbered: bool,  # noqa: FBT001 -- as above
) -> Iterator[dict[str, str]]:
    for turn in range(chance.choice((1, 1, 1, 2, 2, 3))):
        later = turn > 0
        if later and chance.random() < 0.3:
            phone = f"16{chance.randrange(10**9):09d}"
        if later and chance.random() < 0.25:
            home = Family(chance)
        if later and chance.random() < 0.002:
            number = number[:14] + f"{int(number[14:17]) ^ 2:03d}"
            number += check_digit(number)
        has_number = numbered and chance.random() > (0.3 if later else 0.08)
        yield {
            "name": _name(chance, name, later=later),
            "sex": sex if chance.random() > 0.003 else "0",
            "birth_date": _date(chance, born, later=later),
            "id_type": "01" if has_number else "",
            "id_number": _number(chance, number) if has_number else "",
            "phone": "13800000000"
            if chance.random() < 0.02
            else chance.choice((phone, f"+86 {phone[:3]} {phone[3:]}")),
            "address": "" if chance.random() < 0.03 else home.address(chance),
        }


def _name(chance: random.Random, name: str, *, later: bool) -> str:
    if not later:
        return name
    roll = chance.random()
    for table, below in ((_SAME_SOUND, 0.02), (_NEAR, 0.03), (_OLD_FORMS, 0.06)):
        if roll < below and name[-1] in table:
            return name[:-1] + chance.choice(table[name[-1]])
    if roll < 0.07 and all(each in _PINYIN for each in name):
        return " ".join(_PINYIN[each] for each in name)
    return f"{name[0]} {name[1:]}" if roll > 0.97 else name


def _date(chance: random.Random, born: date, *, later: bool) -> str:
    if later and chance.random() < 0.015:
        born = born.replace(month=1, day=1)
    elif later and chance.random() < 0.01:
        born += timedelta(days=chance.choice((-1, 1, 10, -10)))
    return chance.choice(
        (
            born.isoformat(),
            f"{born.year}/{born.month}/{born.day}",
            f"{born:%Y%m%d}",
            f"{born.year}年{born.month}月{born.day}日",
        )
    )


def _number(chance: random.Random, number: str) -> str:
    if chance.random() < 0.03:
        place = chance.randrange(17)
        return number[:place] + chance.choice("0123456789") + number[place + 1 :]
    return number.lower()
