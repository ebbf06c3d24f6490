"""Where two texts differ, character by character, for people who compare records. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

Piece = tuple[str, bool]
"""A part of a text, and whether the other text has something else there."""

Standing = Literal["same", "differs", "one", "none"]
"""Of a field: both say the same, they differ, only one says something, neither does."""

_SIMILAR_MIN: Final = 0.3
"""Texts with less in common are marked as a whole: scattered equal letters of two addresses tell nobody anything."""


class Marked(NamedTuple):
    """Both texts in pieces."""

    left: tuple[Piece, ...]
    right: tuple[Piece, ...]
    standing: Standing


def marked(left: str, right: str) -> Marked:
    """Return both texts cut where they differ. Order counts: ``张三丰`` and ``张丰三`` differ."""
    if not left or not right:
        return Marked(_whole(left, differs=False), _whole(right, differs=False), "one" if left or right else "none")
    if left == right:
        return Marked(_whole(left, differs=False), _whole(right, differs=False), "same")
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if matcher.ratio() < _SIMILAR_MIN:
        return Marked(_whole(left, differs=True), _whole(right, differs=True), "differs")
    ours: list[Piece] = []
    theirs: list[Piece] = []
    for what, from_left, to_left, from_right, to_right in matcher.get_opcodes():
        for pieces, part in ((ours, left[from_left:to_left]), (theirs, right[from_right:to_right])):
            if part:
                pieces.append((part, what != "equal"))
    return Marked(tuple(ours), tuple(theirs), "differs")


def _whole(text: str, *, differs: bool) -> tuple[Piece, ...]:
    return ((text, differs),) if text else ()
