"""What a name sounds like: Hanyu Pinyin (GB/T 16159-2012, names by GB/T 28039-2011) without tones.

Characters that sound alike have one *representative* character, so that ``str.translate`` turns a name into its sound
and keeps its length: 张伟 and 章玮 have one sound, and so has the record that only says ``Zhang Wei``. Readings come
from the package pypinyin, read when first asked for; in first place a character is read as the surname it is (单
``shan``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

_SURNAMES: Final = """
单shan 仇qiu 曾zeng 解xie 查zha 盖ge 翟zhai 区ou 朴piao 任ren 华hua 员yun 缪miao 覃qin
冼xian 秘bi 折she 黑he 种chong 逄pang 卜bu 繁po 车che 那na 召shao 乐yue 石shi 纪ji
宁ning 沈shen 贾jia 隗wei 尹yin 洗xian 燕yan 葛ge
"""
SURNAME_READINGS: Final[Mapping[str, str]] = {each[0]: each[1:] for each in _SURNAMES.split()}
"""Readings that a character has as a surname only (table of surnames in the Xinhua dictionary, 12th edition)."""

_LATIN: Final = re.compile(r"[a-z']+")
_LONGEST: Final = 6
_UMLAUT: Final = str.maketrans({"ü": "v", "ǖ": "v", "ǘ": "v", "ǚ": "v", "ǜ": "v", "Ü": "v"})


@cache
def readings() -> Mapping[int, str]:
    """Return the usual reading of every character by code point, lower case, ``v`` for ``ü``, without its tone."""
    from pypinyin.pinyin_dict import pinyin_dict  # noqa: PLC0415 -- a table of 42,000, wanted by matching alone

    plain = cache(_plain)
    return {code: plain(said.partition(",")[0]) for code, said in pinyin_dict.items()}


@lru_cache(maxsize=16_384)
def every_reading(character: str) -> tuple[str, ...]:
    """Return every reading of a character, the usual one first, those as a surname last; none for a Latin letter."""
    from pypinyin.pinyin_dict import pinyin_dict  # noqa: PLC0415 -- as above

    said = pinyin_dict.get(ord(character))
    surname = SURNAME_READINGS.get(character)
    found = [_plain(each) for each in said.split(",")] if said else []
    return tuple(dict.fromkeys([*found, surname] if surname else found))


def _plain(said: str) -> str:
    letters = unicodedata.normalize("NFD", said.translate(_UMLAUT))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


@cache
def sounds() -> dict[int, str]:
    """Return, for ``str.translate``, the representative of every character: the first of those that sound like it.

    It is the one with the least code point, so the table is the same wherever the readings are.
    """
    first = _representatives()
    return {code: first[said] for code, said in readings().items()}


@cache
def _representatives() -> dict[str, str]:
    found: dict[str, str] = {}
    for code, said in sorted(readings().items()):
        if code >= 0x4E00:  # noqa: PLR2004 -- the main block; what sounds like nothing there is not spelled
            found.setdefault(said, chr(code))
    for code, said in sorted(readings().items()):
        found.setdefault(said, chr(code))
    return found


@cache
def _surname_sounds() -> dict[int, str]:
    first = _representatives()
    return {ord(character): first[said] for character, said in SURNAME_READINGS.items()}


def sound(name: str) -> str:
    """Return the sound of a name: one representative for each character or syllable.

    Middle dots, blanks and what else is no letter are left out. Pinyin is cut into syllables; Latin letters that are no
    pinyin stay as they are, in lower case.
    """
    text = unicodedata.normalize("NFKC", name).translate(_UMLAUT)
    if text.isascii():
        first = _representatives()
        return "".join(first.get(each, each) for each in syllables(text))
    if not text.isalpha():
        text = "".join(character for character in text if character.isalpha())
    head, rest = text[:1], text[1:]
    return head.translate(_surname_sounds()).translate(sounds()) + rest.translate(sounds())


def syllables(name: str) -> tuple[str, ...]:
    """Return the syllables of a name, written in characters or in pinyin: 张伟 and ``Zhang Wei`` give ``zhang, wei``.

    A run of letters that is no pinyin is one piece.
    """
    text = unicodedata.normalize("NFKC", name).casefold().translate(_UMLAUT)
    found: list[str] = []
    if text.isascii():
        for run in _LATIN.findall(text):
            for part in run.split("'"):
                found += cut(part)
        return tuple(found)
    for character in text:
        if character.isalpha():
            said = SURNAME_READINGS.get(character) if not found else None
            found.append(said or readings().get(ord(character), character))
    return tuple(found)


@lru_cache(maxsize=4096)
def cut(run: str) -> tuple[str, ...]:
    """Cut letters (lower case, ``v`` for ``ü``) into the fewest syllables, the longer ones first.

    Letters that are no pinyin stay one piece.
    """
    known = _representatives()
    best: list[tuple[str, ...] | None] = [()] + [None] * len(run)
    for end in range(1, len(run) + 1):
        for size in range(1, min(_LONGEST, end) + 1):
            before, last = best[end - size], run[end - size : end]
            if before is not None and last in known and last.isascii():
                found, here = (*before, last), best[end]
                if here is None or len(found) < len(here):
                    best[end] = found
    cut = best[-1]
    return cut or ((run,) if run else ())


def is_pinyin(name: str) -> bool:
    """Say whether a name is written in pinyin and nothing else."""
    text = unicodedata.normalize("NFKC", name).translate(_UMLAUT)
    return text.isascii() and bool(text.strip()) and all(each in _representatives() for each in syllables(text))
