"""What a steward sees of two records: fields side by side with their differences marked, evidence as a waterfall.

Everything here is whole, not masked: a steward who sees ``张*丰`` cannot judge. Its pages write audit rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from markupsafe import Markup

from yimatong.empi.dossiers import words
from yimatong.empi.dossiers.schemas import FIELDS, FieldValue, Record, Statement, whole
from yimatong.kit.clock import business_date
from yimatong.standards import codes, id_number
from yimatong.standards.errors import IdNumberInvalid
from yimatong.web import charts
from yimatong.web.console.differences import Marked, marked
from yimatong.web.page import Page

_TABLES: Final = {
    "sex": codes.SEX,
    "id_type": codes.CERTIFICATE_TYPES,
    "marital": codes.MARITAL,
    "nation": codes.NATIONS,
}
GUARD: Final = "guard"
_OLD_DIGITS: Final = 15


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One field of both records: the marked texts, where each came from, and what is worth knowing of each."""

    name: str
    texts: Marked
    left: FieldValue
    right: FieldValue
    left_hint: str
    right_hint: str


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the waterfall: what was compared, how it came out, its weight in bits, and its picture."""

    comparison: str
    words: str
    weight: float
    picture: Markup

    @property
    def signed(self) -> str:
        """Return the weight with its sign, as ``+4.1`` or ``−2.0``."""
        return signed(self.weight)


def signed(weight: float) -> str:
    """Write a weight with one decimal and its sign."""
    rounded = round(weight, 1)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else '±'}{abs(rounded):.1f}"


def said(page: Page, name: str, value: str) -> str:
    """Write a field's value for people: a code in words, anything else as it is."""
    text = whole(value)
    term = _TABLES[name].get(text) if name in _TABLES else None
    return f"{getattr(term, page.language)} {text}" if term and text else text


def rows(page: Page, left: Record, right: Record) -> list[Row]:
    """Return the fields that one of both knows, in the order of ``FIELDS``."""
    found = []
    for name in FIELDS:
        ours, theirs = (_field(record, name) for record in (left, right))
        if not ours.value and not theirs.value:
            continue
        texts = marked(said(page, name, ours.value), said(page, name, theirs.value))
        same_number = name == "id_number" and texts.standing == "differs" and _one_number(left, right)
        found.append(
            Row(
                name=name,
                texts=texts,
                left=ours,
                right=theirs,
                left_hint=page.text("desk.hint.15") if same_number else hint(page, left, name),
                right_hint=page.text("desk.hint.15") if same_number else hint(page, right, name),
            )
        )
    return found


def _field(record: Record, name: str) -> FieldValue:
    return next(each for each in record.fields if each.name == name)


def _one_number(left: Record, right: Record) -> bool:
    """Say whether one of both numbers is the old one of 15 digits of the other."""
    both = sorted((whole(left.value("id_number")), whole(right.value("id_number"))), key=len)
    return len(both[0]) == _OLD_DIGITS and both[0] == both[1][:6] + both[1][8:17]


def hint(page: Page, record: Record, name: str) -> str:
    """Return what a steward would look up: is the number valid, does it hold the birth date and sex, how old is she."""
    value = whole(record.value(name))
    today = business_date(page.now)
    if name == "birth_date" and value:
        return page.text("desk.hint.age", years=_years(date.fromisoformat(value), today))
    if name != "id_number" or record.value("id_type") != codes.ID_CARD or not value:
        return ""
    try:
        known = id_number.parse(value, today=today)
    except IdNumberInvalid as refusal:
        return page.text("desk.hint.invalid", why=refusal.text(page.language))
    if record.value("birth_date") and known.birth_date.isoformat() != record.value("birth_date"):
        return page.text("desk.hint.other_birth_date", day=known.birth_date.isoformat())
    return page.text("desk.hint.valid")


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def statements(page: Page, record: Record) -> list[tuple[Statement, list[tuple[str, str, bool]]]]:
    """Return every statement with its fields as (name, words, differs from the golden record)."""
    return [
        (
            each,
            [
                (name, said(page, name, text), whole(text) != whole(record.value(name)))
                for name, text in each.values.items()
            ],
        )
        for each in record.statements
    ]


def evidence(
    page: Page, lines: Sequence[tuple[str, str, float]], weight: float | None, marks: Sequence[float] = ()
) -> list[EvidenceLine]:
    """Return the steps of the waterfall, the start (what is known before comparing) first, guards left out.

    The start is what the total has more than its steps.
    """
    steps = [line for line in lines if line[0] != GUARD]
    if not steps or weight is None:
        return []
    start = weight - sum(each[2] for each in steps)
    levels = [0.0, start]
    for each in steps:
        levels.append(levels[-1] + each[2])
    low, high = min(*levels, *marks, 0.0), max(*levels, *marks, 0.0)
    drawn = [("prior", page.text("desk.prior"), start, 0.0)]
    at = start
    for comparison, level, bits in sorted(steps, key=lambda line: -line[2]):
        drawn.append((comparison, evidence_words(page, comparison, level), bits, at))
        at += bits
    return [
        EvidenceLine(
            comparison=comparison,
            words=said,
            weight=bits,
            picture=charts.step(begin, begin + bits, low=low, high=high, marks=marks),
        )
        for comparison, said, bits, begin in drawn
    ]


def evidence_words(page: Page, comparison: str, level: str) -> str:
    """Write how one comparison came out: ``姓名：读音相同``; of an older model as far as its words are known."""
    known = page.parts.pages.texts.text_or
    ours, levels = words.comparisons().get(comparison, (None, {}))
    what = getattr(ours, page.language) if ours else known(page.language, f"compared.{comparison}", comparison)
    how = levels.get(level)
    result = getattr(how, page.language) if how else known(page.language, f"level.{level}", level)
    return f"{what}{page.text('acc.colon')}{result}"


def guards(page: Page, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return what forbids an automatic link, each as (its name in words, what to look at)."""
    return [
        (guard_words(page, name), page.parts.pages.texts.text_or(page.language, f"guard.{name}.why", ""))
        for name in names
    ]


def guard_words(page: Page, name: str) -> str:
    """Write what a guard says."""
    told = words.guards().get(name)
    return page.parts.pages.texts.text_or(
        page.language, f"guard.{name}", getattr(told, page.language) if told else name
    )


def likelihood(probability: float | None) -> str:
    """Write a probability as people read it; near certainty is never written as 100 %."""
    if probability is None:
        return "—"
    percent = 100 * probability
    if 99.9 < percent:  # noqa: PLR2004, SIM300 -- per cent
        return "> 99.9 %"
    return f"{percent:.1f} %"


def ago(page: Page, moment: datetime) -> str:
    """Write how long ago a moment is: minutes, hours or days."""
    return span(page, (page.now - moment).total_seconds())


def span(page: Page, seconds: float | None) -> str:
    """Write a length of time: minutes, hours or days."""
    if seconds is None:
        return "—"
    minutes = int(seconds) // 60
    if minutes < 60:  # noqa: PLR2004 -- an hour
        return page.text("desk.ago.minutes", number=max(minutes, 0))
    if minutes < 48 * 60:
        return page.text("desk.ago.hours", number=minutes // 60)
    return page.text("desk.ago.days", number=minutes // (24 * 60))


def provider(names: Mapping[str, str], caller_id: str) -> str:
    """Return a provider's name, or its id where it has none."""
    return names.get(caller_id, caller_id)


def context() -> dict[str, Any]:
    """Return the helpers that templates of these pages call."""
    return {"whole": whole, "provider": provider, "likelihood": likelihood, "signed": signed}
