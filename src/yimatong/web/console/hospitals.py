"""The institution of a filter, as people type it: its number, or a part of its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from yimatong.access import callers
from yimatong.kit.db import Connection
from yimatong.web.console import filters
from yimatong.web.page import Page

MATCHES_MAX: Final = 12
"""So many names are offered where several match; whoever gets that many types more of the name."""


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed and whom it means: ``institution_id`` filters, ``matches`` are offered where several are meant."""

    text: str
    institution_id: str
    matches: Mapping[str, str]


async def typed(connection: Connection, page: Page, *, name: str = "institution") -> Typed:
    """Return whom a filter means; an institution's own people have no other to look for.

    Raises:
        FilterInvalid: too long or unprintable.
    """
    text = filters.words(page, name)
    if not text or not page.scope.all_rows:
        return Typed(text=text, institution_id=text, matches={})
    return meant(text, await callers.institution_names(connection))


def meant(text: str, names: Mapping[str, str]) -> Typed:
    """Return whom a text means: a number as it is, else the one name that has it; pure.

    A text that nobody has filters for itself, and so finds nothing.
    """
    if text in names:
        return Typed(text=text, institution_id=text, matches={})
    wish = text.casefold()
    found = [institution_id for institution_id, name in names.items() if wish in name.casefold()]
    if len(found) == 1:
        return Typed(text=text, institution_id=found[0], matches={})
    return Typed(text=text, institution_id=text, matches={each: names[each] for each in found[:MATCHES_MAX]})
