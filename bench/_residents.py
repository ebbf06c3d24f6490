"""Residents for benchmarks of registration: valid numbers, all different, names as frequent as in life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from yimatong.standards.id_number import check_digit

_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英玉兰建华国庆子涵梓轩欣怡"
_DAYS = 29_000


def residents(first: int, count: int) -> Iterator[dict[str, str]]:
    """Yield residents by number; the same number is the same resident."""
    for number in range(first, first + count):
        # day of birth, sex and county follow from the number, so that no two numbers share an identity number
        born = date(1940, 1, 1) + timedelta(days=number % _DAYS)
        rest = number // _DAYS
        first17 = f"61{rest // 999 % 89 + 10:02d}{rest // 88911 % 89 + 10:02d}{born:%Y%m%d}{rest % 999 + 1:03d}"
        mixed = number * 2654435761 % 2**32
        name = _FAMILY[mixed % 20] + _GIVEN[mixed // 20 % len(_GIVEN)] + _GIVEN[mixed // 800 % len(_GIVEN)]
        yield {
            "name": name,
            "sex": "1" if int(first17[16]) % 2 else "2",
            "birth_date": born.isoformat(),
            "id_type": "01",
            "id_number": first17 + check_digit(first17),
            "phone": f"138{number % 10**8:08d}",
            "address": f"陕西省西安市碑林区和平路{number % 500 + 1}号",
        }
