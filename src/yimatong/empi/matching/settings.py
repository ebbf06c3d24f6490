"""What is compared and how pairs are found: a settings file, before anything is learnt. Pure."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Final

import msgspec

from yimatong.empi.errors import MatchSettingsInvalid
from yimatong.empi.matching import registry
from yimatong.empi.matching.comparators import Comparator, Guard, Preparation


class Frequency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A level whose weight depends on how rare the value is: by this column's frequencies, ``share`` of the effect."""

    level: str
    column: str
    share: float = 1.0


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One comparison: its name in evidence, the comparator asked, the columns handed to it, and rare values."""

    name: str
    comparator: str
    columns: tuple[str, ...] = ()
    frequencies: tuple[Frequency, ...] = ()
    zh: str = ""
    en: str = ""


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pairs that agree in all columns; ``right`` names the other record's columns where they differ (swapped names).

    A column may be cut (``name:1`` is its first sign) or a list (``keys[]``: any item).
    Blocks of more than ``largest`` records are passed over.
    """

    left: tuple[str, ...]
    right: tuple[str, ...] = ()
    largest: int = 0


class Hot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a value says nothing because everybody has it: a desk's default phone, the address of a college.

    ``columns`` together are the value; they count as not said where at least ``people`` names and ``share`` of all
    records have it.
    """

    columns: tuple[str, ...]
    people: int
    share: float = 0.0


class Against(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A level that speaks against one person by definition: two proven values that differ.

    Expectation maximisation takes twins for one person and believes too much of it. Its share among pairs of one person
    is at most what is counted: pairs that differ in ``proven`` though they agree in all of ``alike``, beside pairs that
    agree in ``proven``.
    """

    comparison: str
    level: str
    proven: str
    alike: tuple[str, ...]


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model is learnt: blocks for expectation maximisation, and rules that are all but certain.

    ``recall`` is the share of true pairs that the certain rules are thought to find; it sets the prior.
    """

    blocks: tuple[Block, ...]
    certain: tuple[Block, ...]
    against: tuple[Against, ...] = ()
    recall: float = 0.7
    largest_pairs: float = 1e6


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole configuration. ``certificate`` names the column ``type:number`` that clusters must not hold twice.

    ``hot_by`` names the column by which people are told apart where values that too many share are counted.
    """

    name: str
    preparation: str
    comparisons: tuple[Comparison, ...]
    blocks: tuple[Block, ...]
    training: Training
    guards: tuple[str, ...] = ()
    certificate: str = ""
    hot: tuple[Hot, ...] = ()
    hot_by: str = ""
    extra_columns: tuple[str, ...] = ()

    @property
    def frequency_columns(self) -> tuple[str, ...]:
        """Columns whose frequencies count, each once, in order."""
        return tuple(dict.fromkeys(each.column for one in self.comparisons for each in one.frequencies))


_decoder: Final = msgspec.json.Decoder(Settings)


def read(document: bytes) -> Settings:
    """Return the settings in a JSON document.

    Raises:
        MatchSettingsInvalid: it has another shape or names something that is not known.
    """
    try:
        settings = _decoder.decode(document)
    except msgspec.DecodeError as error:
        raise MatchSettingsInvalid(detail=str(error)) from error
    check(settings)
    return settings


@lru_cache(maxsize=1)
def shipped() -> Settings:
    """Return the settings for Chinese records that come with the product."""
    return read(resources.files("yimatong.empi.matching").joinpath("data", "chinese.json").read_bytes())


def check(settings: Settings) -> None:
    """Refuse settings that name an unknown comparator, level, guard, preparation or column.

    Raises:
        MatchSettingsInvalid: they do.
    """
    columns = preparation(settings).columns
    for comparison in settings.comparisons:
        made = comparator(comparison)
        levels = {level.name for level in made.levels}
        for each in comparison.frequencies:
            if each.level not in levels:
                raise MatchSettingsInvalid(detail=f"{comparison.name}: level {each.level}")
            _known(each.column, columns)
        for column in made.columns:
            _known(column, columns)
    for block in (*settings.blocks, *settings.training.blocks, *settings.training.certain):
        for column in (*block.left, *block.right):
            _known(named_column(column), columns)
    for column in (each for one in settings.hot for each in (*one.columns, settings.hot_by)):
        _known(column, columns)
    for one in settings.training.against:
        _check_against(settings, one, columns)
    guards(settings)
    if settings.certificate:
        _known(settings.certificate, columns)


def _check_against(settings: Settings, asked: Against, columns: dict[str, str]) -> None:
    known = {
        level.name
        for each in settings.comparisons
        if each.name == asked.comparison
        for level in comparator(each).levels
    }
    if asked.level not in known:
        raise MatchSettingsInvalid(detail=f"{asked.comparison}: level {asked.level}")
    for column in (asked.proven, *asked.alike):
        _known(column, columns)


def named_column(column: str) -> str:
    """Return the prepared column that a block's column (``name``, ``name:3``, ``keys[]``) is taken from."""
    return column.removesuffix("[]").partition(":")[0]


def _known(column: str, columns: dict[str, str]) -> None:
    if column not in columns:
        raise MatchSettingsInvalid(detail=f"column {column}")


def comparator(comparison: Comparison) -> Comparator:
    """Return the comparator that a comparison asks.

    Raises:
        MatchSettingsInvalid: nobody knows it, or it wants other columns.
    """
    factory = registry.COMPARATORS.get(comparison.comparator)
    if factory is None:
        raise MatchSettingsInvalid(detail=f"comparator {comparison.comparator}")
    try:
        return factory(comparison.columns)
    except ValueError as error:
        raise MatchSettingsInvalid(detail=f"{comparison.name}: columns {comparison.columns}") from error


def guards(settings: Settings) -> dict[str, Guard]:
    """Return the guards by name.

    Raises:
        MatchSettingsInvalid: nobody knows one.
    """
    for name in settings.guards:
        if name not in registry.GUARDS:
            raise MatchSettingsInvalid(detail=f"guard {name}")
    return {name: registry.GUARDS[name] for name in settings.guards}


@lru_cache(maxsize=32)
def preparation(settings: Settings) -> Preparation:
    """Return the preparation of records under these settings.

    Raises:
        MatchSettingsInvalid: nobody knows it.
    """
    factory = registry.PREPARATIONS.get(settings.preparation)
    if factory is None:
        raise MatchSettingsInvalid(detail=f"preparation {settings.preparation}")
    named = [column for each in settings.comparisons for column in each.columns]
    named += [column for each in settings.comparisons for one in each.frequencies for column in (one.column,)]
    for block in (*settings.blocks, *settings.training.blocks, *settings.training.certain):
        named += [named_column(column) for column in (*block.left, *block.right)]
    return factory(tuple(dict.fromkeys((*named, *settings.extra_columns))))
