"""Does a block hold as a Reed-Solomon codeword? All its syndromes are zero, or something in it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from decoders.bits import wrong


def tables(polynomial: int, bits: int) -> tuple[list[int], list[int]]:
    """Return the powers of alpha and the logarithms of GF(2^bits)."""
    order = (1 << bits) - 1
    powers, logs, value = [0] * (2 * order), [0] * (order + 1), 1
    for exponent in range(order):
        powers[exponent] = powers[exponent + order] = value
        logs[value] = exponent
        value <<= 1
        if value > order:
            value ^= polynomial
    return powers, logs


def require_codeword(block: Sequence[int], *, checks: int, polynomial: int, bits: int) -> None:
    """Raise ValueError unless the polynomial vanishes at alpha^1 .. alpha^checks; the first symbol is the highest."""
    powers, logs = tables(polynomial, bits)
    for root in range(1, checks + 1):
        total = 0
        for symbol in block:
            total = (powers[logs[total] + root] if total else 0) ^ symbol
        if total:
            wrong(f"syndrome {root} is {total}")
