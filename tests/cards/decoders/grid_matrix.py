"""Reads a clean Grid Matrix grid (GB/T 27766-2011, AIMD 014) of 1 to 9 layers: a test oracle, from the standard.

Macromodules of 6 x 6 with alternating frames lie in a spiral around the middle; each holds its layer's id (two bits)
and two codewords of seven bits. Frames, ids and syndromes must all be right: nothing is corrected here.
"""

from __future__ import annotations

from collections.abc import Sequence

from decoders.bits import Bits, wrong
from decoders.reed_solomon import require_codeword

# By layers: codewords of a long block, how many long, how many shorter by one (table of blocks).
SIZES = [
    *((18, 1, 0), (50, 1, 0), (98, 1, 0), (81, 2, 0), (121, 2, 0), (113, 2, 1), (113, 2, 2), (116, 3, 2)),
    *((121, 2, 4),),
]
# Check codewords of the first blocks, how many of those, check codewords of the rest; levels 2 and 3 by layers (A.1).
CHECKS = {
    2: [
        *((3, 1, 0), (10, 1, 0), (19, 1, 0), (16, 2, 0), (24, 2, 0), (23, 1, 22), (23, 2, 22), (23, 5, 0)),
        *((24, 6, 0),),
    ],
    3: [
        *((5, 1, 0), (15, 1, 0), (29, 1, 0), (24, 2, 0), (36, 2, 0), (34, 2, 33), (34, 3, 33), (35, 3, 34)),
        *((36, 6, 0),),
    ],
}
MIXED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz "
SHIFTED = "".join(map(chr, [*range(32), *range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127)]))
NUMBER, LOWER, UPPER, MIX, BYTE = "number", "lower", "upper", "mixed", "byte"
MODES = {2: NUMBER, 3: LOWER, 4: UPPER, 5: MIX, 7: BYTE}


def read(rows: Sequence[str]) -> str:
    """Return the text of a grid; raise ValueError where it is not what the standard says."""
    size = len(rows)
    layers, rest = divmod(size - 6, 12)
    if rest:
        wrong(f"no Grid Matrix symbol has {size} modules")
    words: dict[int, tuple[int, int]] = {}
    ids: dict[int, set[int]] = {}
    side = 1 + 2 * layers
    for row in range(side):
        for column in range(side):
            frame_ok, inner = _macromodule(rows, row, column)
            if not frame_ok:
                wrong(f"the frame of macromodule {row}, {column} is broken")
            words[_place(row - layers, column - layers)] = int(inner[9:], 2), int(inner[2:9], 2)
            ids.setdefault(max(abs(row - layers), abs(column - layers)), set()).add(int(inner[:2], 2))
    level = _level(ids)
    stream = [word for place in range(side * side) for word in words[place]]
    return _text(Bits("".join(f"{word:07b}" for word in _data(stream, layers, level))))


def _macromodule(rows: Sequence[str], row: int, column: int) -> tuple[bool, str]:
    block = [line[6 * column : 6 * column + 6] for line in rows[6 * row : 6 * row + 6]]
    frame = block[0] + block[5] + "".join(line[0] + line[5] for line in block)
    wanted = "1" if (row + column) % 2 == 0 else "0"
    return frame.strip(wanted) == "", "".join(line[1:5] for line in block[1:5])


def _place(y: int, x: int) -> int:
    """Return the number of a macromodule on the spiral: a ring starts right of its top left corner, clockwise."""
    ring = max(abs(x), abs(y))
    if ring == 0:
        return 0
    first, side = (2 * ring - 1) ** 2, 2 * ring
    if y == -ring and x > -ring:
        return first + (x + ring - 1)
    if x == ring:
        return first + side + (y + ring - 1)
    if y == ring:
        return first + 2 * side + (ring - x - 1)
    return first + 3 * side + (ring - y - 1)


def _level(ids: dict[int, set[int]]) -> int:
    meant = [
        level
        for level in range(1, 6)
        if ids == {ring: {3 - ring % 4 if level == 1 else (ring + 5 - level) % 4} for ring in ids}
    ]
    return meant[0] if meant else wrong(f"layer ids {ids} mean no level")


def _data(stream: Sequence[int], layers: int, level: int) -> list[int]:
    size, long, short = SIZES[layers - 1]
    first_checks, first, rest_checks = CHECKS[level][layers - 1]
    number, found = long + short, list[int]()
    for block in range(number):
        length = size if block < long else size - 1
        words = [stream[number * place + block] for place in range(length)]
        checks = first_checks if block < first else rest_checks
        require_codeword(words, checks=checks, polynomial=0x89, bits=7)
        found += words[: length - checks]
    return found


def _text(bits: Bits) -> str:
    parts, mode = list[str](), MODES[bits.take(4)]
    readers = {NUMBER: _number, MIX: _mixed, BYTE: _byte}
    while mode:
        reader = readers.get(mode)
        part, mode = reader(bits) if reader else _letters(bits, mode)
        parts.append(part)
    return "".join(parts)


def _number(bits: Bits) -> tuple[str, str]:
    padding, groups, marks = bits.take(2), list[str](), dict[int, tuple[int, str]]()
    while (value := bits.take(10)) < 1018:
        if value < 1000:
            groups.append(f"{value:03d}")
        else:
            kind, place = divmod(value - 1000, 3)
            marks[len(groups)] = place, (" ", "+", "-", ".", ",", "\r\n")[kind]
    if padding:
        groups[-1] = groups[-1][: 3 - padding]
    for number, (place, mark) in marks.items():
        groups[number] = groups[number][:place] + mark + groups[number][place:]
    return "".join(groups), {1018: "", 1020: LOWER, 1021: UPPER, 1022: MIX, 1023: BYTE}[value]


def _letters(bits: Bits, mode: str) -> tuple[str, str]:
    found, first = "", "a" if mode == LOWER else "A"
    while True:
        value = bits.take(5)
        if value <= 26:
            found += " " if value == 26 else chr(ord(first) + value)
        elif value == 31:
            more = bits.take(2)
            if more != 1:
                return found, {0: MIX, 2: BYTE}[more]
            found += SHIFTED[bits.take(6)]
        else:
            return found, {27: "", 29: NUMBER, 30: LOWER if mode == UPPER else UPPER}[value]


def _mixed(bits: Bits) -> tuple[str, str]:
    found = ""
    while True:
        value = bits.take(6)
        if value < 63:
            found += MIXED[value]
            continue
        more = bits.take(4)
        if more != 6:
            return found, {0: "", 2: NUMBER, 3: LOWER, 4: UPPER, 7: BYTE}[more]
        found += SHIFTED[bits.take(6)]


def _byte(bits: Bits) -> tuple[str, str]:
    number = bits.take(9) + 1
    found = bytes(bits.take(8) for _ in range(number)).decode("latin-1")
    following = bits.take(4)
    return found, "" if following == 0 else MODES[following]
