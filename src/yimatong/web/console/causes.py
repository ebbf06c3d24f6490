"""The codes of errors that stand in tables, told in words beside them: pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from yimatong.kit.errors import catalogue

_ASIDE: Final = re.compile(r"\s*[（(][^（）()]*\{[^（）()]*[）)]")
"""Facts of the moment in brackets, which a code alone does not tell."""


def told(codes: Collection[str], language: str) -> dict[str, str]:
    """Return the text of each code that the catalogue has, without those whose text needs the facts of its moment."""
    known = catalogue()
    texts = {code: _ASIDE.sub("", getattr(known[code], language)) for code in codes if code in known}
    return {code: text for code, text in texts.items() if "{" not in text}
