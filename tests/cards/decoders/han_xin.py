"""Reads a clean Han Xin grid (GB/T 21049, ISO/IEC 20830) of versions 1 to 26; a test oracle, written from the standard.

It reads what a reader would read: function information (both copies, with its check symbols), the mask, the data path
around finders and alignment patterns, the picket fence of 13, the blocks with their syndromes, the modes. Every
correction is left out: a clean grid needs none, and a wrong one must not be mended here.
"""

from __future__ import annotations

from collections.abc import Sequence

from decoders.bits import Bits, wrong
from decoders.reed_solomon import require_codeword

# (k, r, m) of the alignment patterns, Annex A, by version.
ALIGNMENT = [
    *((0, 0, 0), (0, 0, 0), (0, 0, 0), (14, 15, 1), (16, 15, 1), (16, 17, 1), (17, 18, 1), (18, 19, 1), (19, 20, 1)),
    *((20, 21, 1), (14, 15, 2), (15, 15, 2), (16, 15, 2), (16, 17, 2), (17, 17, 2), (17, 19, 2), (18, 19, 2)),
    *((19, 19, 2), (20, 19, 2), (20, 21, 2), (21, 21, 2), (16, 17, 3), (17, 16, 3), (17, 18, 3)),
    *((18, 17, 3), (18, 19, 3)),
]

# Blocks of levels L2 and L3 by version, Annex D: (how many, data, check symbols).
BLOCKS = {
    2: [
        *([(1, 17, 8)], [(1, 25, 12)], [(1, 34, 16)], [(1, 38, 16)], [(1, 49, 20)], [(1, 58, 26)], [(1, 70, 30)]),
        *([(1, 40, 18), (1, 41, 18)], [(2, 48, 20)], [(1, 52, 22), (1, 57, 24)], [(1, 56, 24), (1, 57, 24)]),
        *([(1, 62, 26), (1, 65, 28)], [(1, 71, 30), (1, 72, 30)], [(2, 51, 22), (1, 55, 24)]),
        *([(2, 57, 24), (1, 61, 26)], [(2, 65, 28), (1, 61, 26)], [(2, 70, 30), (1, 69, 30)]),
        *([(3, 56, 24), (1, 59, 26)], [(3, 61, 26), (1, 64, 28)], [(3, 65, 28), (1, 72, 30)]),
        *([(4, 56, 24), (1, 63, 28)], [(4, 56, 24), (1, 72, 30)], [(5, 51, 22), (1, 62, 26)]),
        *([(5, 56, 24), (1, 59, 26)], [(5, 61, 26), (1, 57, 26)], [(5, 65, 28), (1, 61, 26)]),
    ],
    3: [
        *([(1, 13, 12)], [(1, 19, 18)], [(1, 26, 24)], [(1, 30, 24)], [(1, 37, 32)], [(1, 24, 20), (1, 22, 18)]),
        *([(1, 26, 22), (1, 28, 24)], [(1, 31, 26), (1, 32, 28)], [(2, 24, 20), (1, 26, 22)]),
        *([(2, 27, 24), (1, 29, 24)], [(2, 28, 24), (1, 31, 26)], [(2, 32, 28), (1, 33, 28)]),
        *([(2, 37, 32), (1, 35, 30)], [(3, 30, 26), (1, 31, 26)], [(3, 33, 28), (1, 36, 30)]),
        *([(3, 38, 32), (1, 33, 30)], [(4, 33, 28), (1, 29, 26)], [(5, 35, 30)], [(7, 24, 20), (1, 23, 22)]),
        *([(7, 26, 22), (1, 23, 22)], [(7, 28, 24), (1, 25, 22)], [(7, 28, 24), (1, 32, 26)]),
        *([(7, 30, 26), (1, 35, 26)], [(7, 33, 28), (1, 30, 28)]),
        *([(9, 28, 24), (1, 28, 22)], [(8, 33, 28), (1, 34, 30)]),
    ],
}
CORNER = 9
TEXT_1 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TEXT_2 = "".join(map(chr, [*range(28), *range(32, 48), *range(58, 65), *range(91, 97), *range(123, 128)]))


def read(rows: Sequence[str]) -> str:
    """Return the text of a grid; raise ValueError where it is not what the standard says."""
    size = len(rows)
    version, level, mask = _function_information(rows)
    if size != 2 * version + 21:
        wrong(f"version {version} has not {size} modules")
    taken = _function_modules(size, version)
    bits = "".join(
        str(int(rows[y][x]) ^ _masked(mask, y + 1, x + 1))
        for y in range(size)
        for x in range(size)
        if (x, y) not in taken
    )
    octets = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - len(bits) % 8, 8)]
    return _text(_data(octets, version, level))


def _function_information(rows: Sequence[str]) -> tuple[int, int, int]:
    first = [rows[8][x] for x in range(9)] + [rows[7 - i][8] for i in range(8)]
    end = len(rows) - 9
    second = [rows[i][end] for i in range(9)] + [rows[8][end + 1 + i] for i in range(8)]
    info = "".join(first + second)
    turned = ["".join(reversed(row)) for row in reversed(rows)]
    copy = [turned[8][x] for x in range(9)] + [turned[7 - i][8] for i in range(8)]
    copy += [turned[i][end] for i in range(9)] + [turned[8][end + 1 + i] for i in range(8)]
    if "".join(copy) != info:
        wrong("the two copies of the function information differ")
    nibbles = [int(info[at : at + 4], 2) for at in range(0, 28, 4)]
    require_codeword(nibbles, checks=4, polynomial=0x13, bits=4)
    return int(info[:8], 2) - 20, int(info[8:10], 2) + 1, int(info[10:12], 2)


def _masked(mask: int, i: int, j: int) -> bool:
    """Say whether a mask turns the module of row i and column j, both from 1 (table of masks)."""
    conditions = (1, i + j, (i + j) % 3 + j % 3, i % j + j % i + i % 3 + j % 3)
    return conditions[mask] % 2 == 0


def _function_modules(size: int, version: int) -> set[tuple[int, int]]:
    near, far = range(CORNER), range(size - CORNER, size)
    taken = {(x, y) for xs in (near, far) for ys in (near, far) for x in xs for y in ys}
    k, r, m = ALIGNMENT[version - 1]
    if not m:
        return taken
    steps = [0]
    while steps[-1] + (k if len(steps) <= m else r - 1) < size:
        steps.append(steps[-1] + (k if len(steps) <= m else r - 1))
    spans = [k if number < m else r - 1 for number in range(len(steps))]
    drawn: set[tuple[int, int]] = set()
    for row, y in enumerate(steps):
        for column, back in enumerate(steps):
            x = size - 1 - back
            if (row + column) % 2 == 0 and (row, column) != (0, 0):
                drawn |= {(x - i, y) for i in range(spans[column] + 1)}
                drawn |= {(x - i - 1, y + 1) for i in range(spans[column] + 1)}
                drawn |= {(x, y + i) for i in range(spans[row])}
                drawn |= {(x - 1, y + i + 1) for i in range(spans[row])}
    for number, step in enumerate(steps):
        inner = number % 2 == 1
        if inner:
            drawn |= _nine(size - 1, step) | _nine(size - 1 - step, 0)
        if inner == (m % 2 == 0):
            drawn |= _nine(0, step) | _nine(size - 1 - step, size - 1)
    return taken | {(x, y) for x, y in drawn if 0 <= x < size and 0 <= y < size}


def _nine(x: int, y: int) -> set[tuple[int, int]]:
    return {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}


def _data(octets: Sequence[int], version: int, level: int) -> Bits:
    blocks = [(data, check) for number, data, check in BLOCKS[level][version - 1] for _ in range(number)]
    total = sum(data + check for data, check in blocks)
    stream, at = [0] * total, 0
    for start in range(13):
        for place in range(start, total, 13):
            stream[place] = octets[at]
            at += 1
    found, at = list[int](), 0
    for data, check in blocks:
        block = stream[at : at + data + check]
        require_codeword(block, checks=check, polynomial=0x163, bits=8)
        found += block[:data]
        at += data + check
    return Bits("".join(f"{octet:08b}" for octet in found))


def _text(bits: Bits) -> str:
    parts = []
    while bits.left() >= 4 and bits.peek(4):
        mode = bits.take(4)
        if mode == 1:
            parts.append(_numeric(bits))
        elif mode == 2:
            parts.append(_text_mode(bits))
        elif mode == 3:
            parts.append(bytes(bits.take(8) for _ in range(bits.take(13))).decode("latin-1"))
        else:
            wrong(f"mode {mode} is not for our texts")
    return "".join(parts)


def _numeric(bits: Bits) -> str:
    groups = []
    while (value := bits.take(10)) < 1000:
        groups.append(value)
    last = value - 1020
    if last not in (1, 2, 3):
        wrong(f"numeric mode ends with {value}")
    return "".join(f"{group:03d}" for group in groups[:-1]) + f"{groups[-1]:0{last}d}"


def _text_mode(bits: Bits) -> str:
    found, table, other = "", TEXT_1, TEXT_2
    while (value := bits.take(6)) != 63:
        if value == 62:
            table, other = other, table
        else:
            found += table[value]
    return found
