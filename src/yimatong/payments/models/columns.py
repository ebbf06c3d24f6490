"""Columns and checks that the tables of this room share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, DateTime

from yimatong.payments.states import AttemptState, OrderState, RefundState


def moment(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column that holds a moment with its offset."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def one_of(states: type[OrderState | AttemptState | RefundState]) -> CheckConstraint:
    """Return the check that ``state`` is one of a state machine's."""
    listed = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"state IN ({listed})", name="state")
