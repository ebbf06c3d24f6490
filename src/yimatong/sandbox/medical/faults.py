"""Faults that a simulated insurer can be told to have: counts that go down as they strike."""

from __future__ import annotations

import msgspec


class Counted(msgspec.Struct, kw_only=True):
    """A set of faults; ``-1`` strikes until reset, ``path`` limits those of the wire to addresses that contain it."""

    path: str = ""

    def strikes(self, name: str, path: str = "") -> bool:
        """Say whether fault ``name`` strikes now, and count it down."""
        left = int(getattr(self, name))
        if left == 0 or self.path not in path:
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True


class Faults(Counted, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next at the medical insurance; forgotten at a restart.

    ``lost_answers``: worked on, then no answer for ``hang_s`` and a 504. ``settles_later``: 6202 answers 结算中 and
    settles only when told. ``read_lag``: a question is still answered with the state before. ``split_changes``: the
    settlement takes one fen more from the fund than was presettled. ``refund_fails`` and ``refund_exceptional``:
    refStatus FAIL and EXP. ``no_list``: 6301 has no list of refunds, as the public tables. ``bare_notices``: notices
    without what is not in the public tables.
    """

    delay_s: float = 0.0
    hang_s: float = 15.0
    answer_5xx: int = 0
    busy: int = 0
    garbage: int = 0
    lost_answers: int = 0
    unsigned_answers: int = 0
    wrong_signatures: int = 0
    old_answers: int = 0
    read_lag: int = 0
    split_changes: int = 0
    settles_later: int = 0
    refund_fails: int = 0
    refund_exceptional: int = 0
    no_list: int = 0
    broken_bills: int = 0
    drop_notices: int = 0
    duplicate_notices: int = 0
    forged_notices: int = 0
    bare_notices: int = 0
