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
_SPARK: Final = 36


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


def spark(*, identity: str, title: str, description: str, series: Sequence[Series]) -> Markup:
    """Return stacked columns without axes, for a row of a list: a minute a column, as high as the busiest of them."""
    number = max((len(line.values) for line in series), default=0)
    highest = max((sum(line.values[index] for line in series) for index in range(number)), default=0)
    slot = 100 / max(number, 1)
    parts = [f'<rect class="track" x="0" y="{_SPARK - 1}" width="100%" height="1"/>']
    for index in range(number if highest else 0):
        bottom = float(_SPARK - 1)
        for line in series:
            height = line.values[index] / highest * (_SPARK - 2)
            bottom -= height
            if height:
                parts.append(
                    f'<rect class="{line.style}" x="{index * slot:.2f}%" y="{bottom:.1f}" '
                    f'width="{slot * 0.86:.2f}%" height="{height:.1f}"/>'
                )
    return _picture(identity, title, description, _SPARK, parts)


def step(start: float, end: float, *, low: float, high: float, marks: Sequence[float] = ()) -> Markup:
    """Return one step of a waterfall that lies on its side: from ``start`` to ``end`` on the axis ``low`` .. ``high``.

    A step to the right (``up``) and one to the left (``down``) differ in their shape too: the arrow's head. ``marks``
    are upright lines (thresholds). The page writes what the step is and its number beside it.
    """
    span = max(high - low, 1e-9)

    def at(value: float) -> float:
        return 1 + 98 * (min(max(value, low), high) - low) / span

    left, right = sorted((at(start), at(end)))
    up = end >= start
    style = "up" if up else "down"
    uprights = "".join(
        f'<line class="{"zero" if mark == 0 else "mark"}" x1="{at(mark):.2f}%" x2="{at(mark):.2f}%" y1="0" y2="14"/>'
        for mark in (0.0, *marks)
        if low <= mark <= high
    )
    head = "M0 0L10 7L0 14Z" if up else "M10 0L0 7L10 14Z"
    arrow = (
        f'<svg x="{right - 1.6 if up else left:.2f}%" y="0" width="1.6%" height="14" viewBox="0 0 10 14" '
        f'preserveAspectRatio="none"><path class="{style}" d="{head}"/></svg>'
        if abs(end - start) > span / 60
        else ""
    )
    line = f'<rect class="{style}" x="{left:.2f}%" y="4" width="{max(right - left, 0.4):.2f}%" height="6"/>'
    return Markup(  # noqa: S704 -- numbers and class names of ours
        '<svg xmlns="http://www.w3.org/2000/svg" class="step" width="100%" height="14" aria-hidden="true">'
        f"{uprights}{line}{arrow}</svg>"
    )


def pyramid(
    *,
    identity: str,
    title: str,
    description: str,
    rows: Sequence[tuple[str, int | None, int | None]],
    sides: tuple[str, str],
) -> Markup:
    """Return an age pyramid: one row a band, its numbers to the left and to the right; None is withheld (a star)."""
    highest = max((value or 0 for _, *both in rows for value in both), default=0)
    top = nice_top(highest)
    parts = [
        f'<text class="tick" x="45%" y="12" text-anchor="end">{escape(sides[0])}</text>',
        f'<text class="tick" x="55%" y="12">{escape(sides[1])}</text>',
    ]
    for number, (name, left, right) in enumerate(rows):
        top_y = _TOP + number * _ROW
        parts.append(f'<text class="tick" x="50%" y="{top_y + 15}" text-anchor="middle">{escape(name)}</text>')
        for value, side, style in ((left, 0, "s4"), (right, 1, "s1")):
            if value is None:
                x, anchor = ("44%", "end") if side == 0 else ("56%", "start")
                parts.append(f'<text class="tick" x="{x}" y="{top_y + 15}" text-anchor="{anchor}">✱</text>')
                continue
            width = 43 * value / top
            if width:
                x_percent = 44 - width if side == 0 else 56
                tip = escape(f"{name} {sides[side]} {value:,}")
                parts.append(
                    f'<rect class="{style}" x="{x_percent:.2f}%" y="{top_y + 2}" width="{width:.2f}%" '
                    f'height="{_ROW - 4}"><title>{tip}</title></rect>'
                )
    height = _TOP + len(rows) * _ROW + _BOTTOM
    for share in (0, 0.5, 1):
        label = short_number(int(top * share))
        parts += [
            f'<text class="tick" x="{44 - 43 * share:.2f}%" y="{height - 6}" text-anchor="middle">{label}</text>',
            f'<text class="tick" x="{56 + 43 * share:.2f}%" y="{height - 6}" text-anchor="middle">{label}</text>',
        ]
    return _picture(identity, title, description, height, parts)


def _grid(top: int) -> list[str]:
    parts = []
    for step in range(5):
        height = _TOP + _PLOT - step * _PLOT / 4
        parts += [
            f'<line class="grid" x1="0" x2="100%" y1="{height:.1f}" y2="{height:.1f}"/>',
            f'<text class="tick" x="0" y="{height - 4:.1f}">{short_number(top * step // 4)}</text>',
        ]
    return parts
