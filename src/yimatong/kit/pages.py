"""Server-rendered pages: a strict Jinja environment and the catalogue of texts in two languages.

Everything is escaped; an unknown name in a template raises; a value typed as personal data leaves as its mask whichever
template prints it. Nothing here needs an inline script or style, so the pages live under a strict content policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, select_autoescape

from yimatong.kit.clock import BEIJING
from yimatong.kit.masking import Personal
from yimatong.kit.money import yuan

LANGUAGES: Final = ("zh", "en")


class Texts:
    """Texts of the pages by key, each as ``[Chinese, English]``; from JSON files, a key stands in one only."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the catalogues.

        Raises:
            ValueError: a key stands in two files.
        """
        self._texts: dict[str, tuple[str, str]] = {}
        for file in files:
            found = msgspec.json.decode(file.read_bytes(), type=dict[str, tuple[str, str]])
            twice = self._texts.keys() & found.keys()
            if twice:
                message = f"{file}: texts with two homes: {sorted(twice)}"
                raise ValueError(message)
            self._texts |= found

    def text(self, language: str, key: str, /, **facts: object) -> str:
        """Return one text with its facts filled in; an unknown key raises ``KeyError``."""
        found = self._texts[key][LANGUAGES.index(language)]
        return found.format(**facts) if facts else found

    def text_or(self, language: str, key: str, /, default: str) -> str:
        """Return one text, or ``default`` for a key that has none (a state that a newer room has added)."""
        return self.text(language, key) if key in self._texts else default

    def keys(self) -> frozenset[str]:
        """Return every key."""
        return frozenset(self._texts)

    def items(self) -> Mapping[str, tuple[str, str]]:
        """Return every key with its two texts."""
        return dict(self._texts)


def shown(value: object) -> object:
    """Return what a template may print for a value: the mask of personal data, nothing for None."""
    if isinstance(value, Personal):
        return value.masked
    return "" if value is None else value


def clock_time(moment: datetime) -> str:
    """Write a moment as Beijing time of day: ``09:30:05``."""
    return moment.astimezone(BEIJING).strftime("%H:%M:%S")


def full_time(moment: datetime) -> str:
    """Write a moment as Beijing date and time: ``2026-11-23 09:30:05``."""
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def short_time(moment: datetime) -> str:
    """Write a moment as Beijing month, day and minute: ``11-23 09:30``."""
    return moment.astimezone(BEIJING).strftime("%m-%d %H:%M")


def machine_time(moment: datetime | date) -> str:
    """Write a moment for the ``datetime`` attribute of ``<time>``."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds") if isinstance(moment, datetime) else str(moment)


def money(amount_fen: int) -> str:
    """Write fen as people read them: ``¥ 12,345.67``, ``-¥ 2.70``."""
    return f"{'-' if amount_fen < 0 else ''}¥ {yuan(abs(amount_fen))}"


def grouped(number: int) -> str:
    """Write a whole number with thousands marks."""
    return f"{number:,}"


def masked_code(text: str, *, head: int = 4, tail: int = 4) -> str:
    """Shorten a long identifier for people to recognise: ``A1B2…9F00``."""
    return text if len(text) <= head + tail + 1 else f"{text[:head]}…{text[-tail:]}"


class Pages:
    """Renders templates. ``folders`` maps the first part of a template's name to its folder."""

    def __init__(self, folders: Mapping[str, Path], texts: Texts, **common: object) -> None:
        """Build the environment; ``common`` names are known to every template."""
        self.texts: Final = texts
        self._environment = Environment(
            loader=PrefixLoader({name: FileSystemLoader(folder) for name, folder in folders.items()}),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        filters: dict[str, Callable[..., object]] = {
            "yuan": yuan,
            "money": money,
            "clock_time": clock_time,
            "full_time": full_time,
            "short_time": short_time,
            "machine_time": machine_time,
            "grouped": grouped,
            "masked_code": masked_code,
        }
        self._environment.filters.update(filters)
        self._environment.globals.update(common)

    def render(self, template: str, language: str, /, **context: object) -> str:
        """Render one template. ``t(key, **facts)`` inside it gives a text in ``language``."""
        return self._environment.get_template(template).render(
            context | {"t": partial(self.texts.text, language), "language": language}
        )

    def template_names(self) -> list[str]:
        """Return every template, for tests that walk them."""
        return self._environment.list_templates()

    def source(self, template: str) -> str:
        """Return the source of a template, for tests that walk them."""
        loader = self._environment.loader
        if loader is None:  # pragma: no cover -- the environment is built with one
            return ""
        return loader.get_source(self._environment, template)[0]
