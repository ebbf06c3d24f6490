"""A stream of bits that is read from the left."""

from __future__ import annotations

from typing import NoReturn


def wrong(reason: str) -> NoReturn:
    """Say that a grid is not what the standard says."""
    raise ValueError(reason)


class Bits:
    """Bits as a string of 0 and 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, size: int) -> int:
        if self.at + size > len(self.text):
            wrong("the stream ends in the middle of a value")
        self.at += size
        return int(self.text[self.at - size : self.at], 2)

    def peek(self, size: int) -> int:
        return int(self.text[self.at : self.at + size].ljust(size, "0"), 2)

    def left(self) -> int:
        return len(self.text) - self.at
