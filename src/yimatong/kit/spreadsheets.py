"""Cells of files that people open in a spreadsheet (CSV injection, CWE-1236)."""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: str) -> str:
    """Return a cell that is shown as it is: what would be taken for a formula is written as a text."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
