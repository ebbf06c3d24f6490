"""How the simulated insurance divides a bill. Pure, whole fen.

Invented, and simple on purpose (every region has its own): the fund pays its share of what is above the rest of the
year's deductible, rounded down; the personal account, where it is used, a share of what is left, up to its balance.
"""

from __future__ import annotations

from yimatong.sandbox.medical.rows import Division, Person


def divide(person: Person, total_fen: int, *, account_used: bool, fund_extra_fen: int = 0) -> Division:
    """Return the division of a bill; ``fund_extra_fen`` lets a settlement differ from what was presettled."""
    used_fen = min(person.deductible_fen, total_fen)
    fund_fen = min((total_fen - used_fen) * person.fund_percent // 100 + fund_extra_fen, total_fen)
    rest_fen = total_fen - fund_fen
    account_fen = min(rest_fen * person.account_percent // 100, person.balance_fen) if account_used else 0
    return Division(
        total_fen=total_fen,
        fund_fen=fund_fen,
        account_fen=account_fen,
        own_fen=rest_fen - account_fen,
        deductible_fen=used_fen,
    )
