"""Custodians' components as every device checks them: shape, key check values, and that they make one ceremony."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from yimatong.crypto.devices.base import BLOCK_USAGES, CUSTODIANS, Component, KeyUsage
from yimatong.crypto.errors import ComponentMismatch, ComponentsIncomplete
from yimatong.crypto.gm import sm4


def check_importable(usage: KeyUsage) -> None:
    """Refuse a usage whose keys are only made inside; raises ``ComponentsIncomplete``."""
    if usage not in BLOCK_USAGES:
        raise ComponentsIncomplete(detail=f"{usage.value} keys are made inside the device and never imported")


def check(component: Component) -> None:
    """Check one component by itself.

    Raises:
        ComponentsIncomplete: not one of 2 to 5 parts.
        ComponentMismatch: not 16 bytes, or its KCV does not fit.
    """
    if component.parts not in CUSTODIANS or not 1 <= component.part <= component.parts:
        raise ComponentsIncomplete(detail="a ceremony has 2 to 5 parts")
    if len(component.value) != sm4.KEY_SIZE:
        raise ComponentMismatch(what="length")
    if sm4.key_check_value(component.value) != component.kcv.upper():
        raise ComponentMismatch(what=f"part {component.part}")


def check_fits(component: Component, taken: Sequence[Component]) -> None:
    """Check that a component belongs to those already taken; raises ``ComponentsIncomplete``."""
    if any((item.parts, item.key_kcv.upper()) != (component.parts, component.key_kcv.upper()) for item in taken):
        raise ComponentsIncomplete(detail="number of parts or key check value differ from the first component")
    if any(item.part == component.part for item in taken):
        raise ComponentsIncomplete(detail=f"part {component.part} was taken before")


def combine(components: Sequence[Component]) -> bytes:
    """Return the key (16 bytes) that a whole set of components makes; an empty ``key_kcv`` is not compared.

    Raises:
        ComponentsIncomplete: not one whole set.
        ComponentMismatch: a KCV does not fit, or two custodians brought the same value.
    """
    taken: list[Component] = []
    for component in components:
        check(component)
        check_fits(component, taken)
        taken.append(component)
    if not taken or len(taken) != taken[0].parts:
        raise ComponentsIncomplete(detail="parts missing")
    if len({component.value for component in taken}) < len(taken):
        raise ComponentMismatch(what="two equal components")  # two equal ones cancel each other out
    number = reduce(lambda a, b: a ^ b, (int.from_bytes(component.value, "big") for component in taken))
    key = number.to_bytes(sm4.KEY_SIZE, "big")
    if taken[0].key_kcv and sm4.key_check_value(key) != taken[0].key_kcv.upper():
        raise ComponentMismatch(what="key")
    return key
