"""One written form for characters that people take for the same: traditional and simplified, variants, dots, widths.

Traditional to simplified by the character table of OpenCC (``t2s``), character by character, because a name has no
context; variants that OpenCC leaves alone are added after the table of general standard characters of 2013
(通用规范汉字表). It is a form for comparing, never for showing: 于 and 於 become one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_VARIANTS: Final = str.maketrans(
    "喆堃犇甦邨淼祕峯羣崑崙慤旾囯亁乹吿叅靑淸眞髙𡈼",
    "哲坤奔苏村淼秘峰群昆仑悫春国乾乾告参青清真高王",
)
_BESIDE: Final = re.compile(r"[\s·•・‧∙⋅●．.\-'’`_]+")
_BLOCKS: Final = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF))


@cache
def simplified() -> dict[int, str]:
    """Return, for ``str.translate``, the simplified form of every character that has one."""
    from opencc import OpenCC  # noqa: PLC0415 -- a native library, wanted by matching alone

    convert = OpenCC("t2s").convert
    found: dict[int, str] = {}
    for first, last in _BLOCKS:
        codes = range(first, last + 1)
        # a line each, so that no phrase is seen: 乾隆 keeps its 乾, a name does not
        forms = convert("\n".join(map(chr, codes))).split("\n")
        found |= {code: form for code, form in zip(codes, forms, strict=True) if form != chr(code) and len(form) == 1}
    for code, form in list(_VARIANTS.items()):
        found[code] = found.get(form, chr(form))
    return found


def canonical(name: str) -> str:
    """Return the form under which names are compared: simplified, half-width, lower case, without dots and blanks."""
    text = unicodedata.normalize("NFKC", name).casefold()
    if not text.isalpha():
        text = unicodedata.normalize("NFKC", _BESIDE.sub("", text))
    return text.translate(simplified())


def parts(name: str) -> tuple[str, ...]:
    """Return what stands between middle dots, blanks and the like, each in its canonical form."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return tuple(each.translate(simplified()) for each in _BESIDE.split(text) if each)
