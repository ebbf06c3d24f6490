"""Small charts as SVG, drawn on the server: no script, no style attribute, colours by class from the style sheet.

Across, everything is in per cent and down in pixels, so that a chart fills its card on a phone and on a wide screen and
its letters keep their size. Each carries a title and a description for screen readers; the page sets a table with the
same numbers beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec
from markupsafe import Markup

_HEIGHT: Final = 200
_TOP: Final = 18
_BOTTOM: Final = 24
_PLOT: Final = _HEIGHT - _TOP - _BOTTOM
_LEFT_PERCENT: Final = 9.0
_LABELS_MAX: Final = 8
_ROW: Final = 22


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of number: a name to show, a class of the style sheet (``s1`` .. ``s5``), one value a column."""

    name: str
    style: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        """Return the sum over all columns."""
        return sum(self.values)


def nice_top(highest: int) -> int:
    """Return the round number at or above ``highest`` that four equal steps divide: 4, 8, 20, 40, 80, 200 ..."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if 4 * step * factor >= highest:
                return 4 * step * factor
        step *= 10


def short_number(number: int) -> str:
    """Write an axis label: ``800``, ``20k``, ``4M``."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= unit and number % (unit // 10) == 0:
            return f"{number / unit:g}{letter}"
    return str(number)


def columns(*, identity: str, title: str, description: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return stacked columns, one a label (an hour of the day). Every series has one value a label."""
    highest = max((sum(line.values[index] for line in series) for index in range(len(labels))), default=0)
    top = nice_top(highest)
    slot = (100 - _LEFT_PERCENT) / max(len(labels), 1)
    parts = _grid(top)
    every = -(-len(labels) // _LABELS_MAX)
    for index, label in enumerate(labels):
        left = _LEFT_PERCENT + index * slot
        bottom = float(_TOP + _PLOT)
        for line in series:
            height = line.values[index] / top * _PLOT
            if height:
                tip = escape(f"{label} {line.name} {line.values[index]:,}")
                parts.append(
                    f'<rect class="{line.style}" x="{left + slot * 0.12:.2f}%" y="{bottom - height:.1f}" '
                    f'width="{slot * 0.76:.2f}%" height="{height:.1f}"><title>{tip}</title></rect>'
                )
            bottom -= height
        if index % every == 0:
            parts.append(
                f'<text class="tick" x="{left + slot / 2:.2f}%" y="{_HEIGHT - 6}" text-anchor="middle">'
                f"{escape(label)}</text>"
            )
    return _picture(identity, title, description, _HEIGHT, parts)


def lines(*, identity: str, title: str, description: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return lines over many narrow columns (seconds); ``labels`` stand at equal distances from left to right."""
    highest = max((max(line.values, default=0) for line in series), default=0)
    top = nice_top(highest)
    parts = _grid(top)
    width = max(max((len(line.values) for line in series), default=0) - 1, 1)
    parts.append(
        f'<svg x="{_LEFT_PERCENT}%" y="{_TOP}" width="{100 - _LEFT_PERCENT}%" height="{_PLOT}" '
        f'viewBox="0 0 {width} {_PLOT}" preserveAspectRatio="none">'
    )
    for line in series:
        points = " ".join(f"{at},{_PLOT - value / top * _PLOT:.1f}" for at, value in enumerate(line.values))
        parts.append(f'<polyline class="line {line.style}" points="{points}" vector-effect="non-scaling-stroke"/>')
    parts.append("</svg>")
    for index, label in enumerate(labels):
        left = _LEFT_PERCENT + (100 - _LEFT_PERCENT) * index / max(len(labels) - 1, 1)
        anchor = "end" if index == len(labels) - 1 else "start" if index == 0 else "middle"
        parts.append(
            f'<text class="tick" x="{left:.2f}%" y="{_HEIGHT - 6}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return _picture(identity, title, description, _HEIGHT, parts)


def heat(
    *, identity: str, title: str, description: str, rows: Sequence[tuple[str, Sequence[int]]], labels: Sequence[str]
) -> Markup:
    """Return a field of squares, one row a day and one column an hour; the fuller, the darker (five steps)."""
    highest = max((value for _, values in rows for value in values), default=0)
    slot = (100 - _LEFT_PERCENT) / max(len(labels), 1)
    parts = []
    for number, (name, values) in enumerate(rows):
        parts.append(f'<text class="tick" x="0" y="{number * _ROW + 15}">{escape(name)}</text>')
        for index, value in enumerate(values):
            step = -(-5 * value // highest) if highest else 0
            tip = escape(f"{name} {labels[index]} {value:,}")
            parts.append(
                f'<rect class="h{step}" x="{_LEFT_PERCENT + index * slot:.2f}%" y="{number * _ROW + 1}" '
                f'width="{slot * 0.94:.2f}%" height="{_ROW - 2}"><title>{tip}</title></rect>'
            )
    height = len(rows) * _ROW + 20
    for index in range(0, len(labels), 3):
        left = _LEFT_PERCENT + (index + 0.47) * slot
        parts.append(
            f'<text class="tick" x="{left:.2f}%" y="{height - 5}" text-anchor="middle">{escape(labels[index])}</text>'
        )
    return _picture(identity, title, description, height, parts)


def _picture(identity: str, title: str, description: str, height: int, parts: Sequence[str]) -> Markup:
    short = "" if height == _HEIGHT else " free"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart{short}" width="100%" height="{height}" role="img" '
        f'aria-labelledby="{identity}-t {identity}-d"><title id="{identity}-t">{escape(title)}</title>'
        f'<desc id="{identity}-d">{escape(description)}</desc>'
    )
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 -- every text in it is escaped by its caller above


def bar(value: int, highest: int, style: str = "s1") -> Markup:
    """Return one lying bar of a ranking; the page writes label and number beside it."""
    length = max(100 * value / highest, 0.8) if value > 0 and highest > 0 else 0.0
    return Markup(  # noqa: S704 -- numbers and a class name of ours
        '<svg xmlns="http://www.w3.org/2000/svg" class="bar" width="100%" height="8" aria-hidden="true">'
        '<rect class="track" width="100%" height="8" rx="4"/>'
        f'<rect class="{style}" width="{length:.2f}%" height="8" rx="4"/></svg>'
    )


def _grid(top: int) -> list[str]:
    parts = []
    for step in range(5):
        height = _TOP + _PLOT - step * _PLOT / 4
        parts += [
            f'<line class="grid" x1="0" x2="100%" y1="{height:.1f}" y2="{height:.1f}"/>',
            f'<text class="tick" x="0" y="{height - 4:.1f}">{short_number(top * step // 4)}</text>',
        ]
    return parts
