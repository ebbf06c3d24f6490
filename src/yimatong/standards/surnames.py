"""Where the family name ends in a name written without a blank. Pure.

Chinese names begin with a surname of one character, or with one of the compound surnames (复姓) of the table, which
holds those still borne. Names of minorities with a middle dot (阿依古丽·买买提) end with the father's name, which is
taken for the family name; Latin names are kept with the family name first, as documents in China write them. A newborn
who is called after her mother (王芳之女) has no name of her own to take apart.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from yimatong.standards.names import MIDDLE_DOT

_COMPOUND: Final = """
欧阳 太史 端木 上官 司马 东方 独孤 南宫 万俟 闻人 夏侯 诸葛 尉迟 公羊 赫连 澹台 皇甫 濮阳 公冶 太叔 申屠 公孙 慕容
仲孙 钟离 长孙 宇文 司徒 鲜于 司空 闾丘 亓官 司寇 巫马 颛孙 壤驷 漆雕 拓跋 夹谷 轩辕 令狐 百里 呼延 东郭 南门 羊舌
西门 第五 即墨 达奚 褚师 纳兰 叶赫 完颜 爱新觉罗
歐陽 東方 獨孤 南宮 諸葛 尉遲 赫連 澹臺 濮陽 鍾離 長孫 鮮于 司馬 東郭 南門 西門 納蘭 完顏
"""
COMPOUND: Final = frozenset(_COMPOUND.split())
"""Left out are those whose first character is a common surname of its own (梁丘, 左丘, 段干, 宗政)."""

_LONGEST: Final = max(map(len, COMPOUND))
_CJK: Final = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_NEWBORN: Final = re.compile("之(子|女|婴|儿)[一二三四甲乙丙丁]?$")


class Parts(NamedTuple):
    """``family`` and ``given`` are empty where a name cannot be taken apart."""

    family: str
    given: tuple[str, ...]


def split(name: str) -> Parts:
    """Return family name and given names of a name in its one written form (``names.normalise``)."""
    if _NEWBORN.search(name):
        return Parts("", ())
    if MIDDLE_DOT in name:
        *first, last = name.split(MIDDLE_DOT)
        return Parts(last, tuple(first))
    if _CJK.match(name):
        size = next((size for size in range(_LONGEST, 1, -1) if name[:size] in COMPOUND and len(name) > size), 1)
        return Parts(name[:size], (name[size:],) if len(name) > size else ())
    family, *given = name.split(" ")
    return Parts(family, tuple(given))


def joined(family: str, given: tuple[str, ...]) -> str:
    """Return the name that ``split`` takes apart: the family name first, blanks between Latin parts only."""
    if any(MIDDLE_DOT in part for part in (family, *given)):
        return MIDDLE_DOT.join([*given, family] if family else given)
    parts = [part for part in (family, *given) if part]
    return ("" if all(map(_CJK.match, parts)) else " ").join(parts)
