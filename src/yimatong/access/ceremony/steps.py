"""What a ceremony does with the device. Every step first looks whether the device has done it already."""

from __future__ import annotations

import re
import time
from typing import Final

from yimatong.access.ceremony.schemas import Done, Given, Request
from yimatong.crypto.devices import components
from yimatong.crypto.devices.base import Component, CryptoDevice, KeyInfo, KeyState, KeyUsage
from yimatong.crypto.errors import ComponentsIncomplete

_KCV: Final = re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)


def is_kcv(text: str) -> bool:
    """Say whether this is a key check value: 6 hexadecimal characters."""
    return bool(_KCV.fullmatch(text))


def check_component(component: Component) -> None:
    """Check a component before anything is written down; raises ``ComponentMismatch`` or ``ComponentsIncomplete``."""
    components.check(component)


def version_of(device: CryptoDevice, request: Request) -> int | None:
    """Return the version that the ceremony will make or is about; None when it is about the whole device."""
    if request.action in {"backup", "restore", "cut-off"}:
        return None
    if request.version:
        return request.version
    known = device.key_versions(KeyUsage(request.usage))
    if request.action == "rotate" and known and known[0].state is KeyState.READY:
        return known[0].version
    return known[0].version + 1 if known else 1


def run(device: CryptoDevice, request: Request, version: int | None, given: Given, *, pause_s: float) -> Done:
    """Do it, or find it done; blocking. Errors are the device's.

    ``pause_s`` lies between making and activating a version: what was begun before knows it by the time that others
    seal under it.
    """
    if request.action == "backup":
        return Done(blob=device.backup(given.components))
    if request.action == "restore":
        device.restore(given.blob, given.components)
        return Done()
    if request.action == "cut-off":
        device.cut_off()
        return Done()
    return Done(info=_change(device, KeyUsage(request.usage), request, version or 0, given, pause_s))


def stage(device: CryptoDevice, request: Request, component: Component) -> None:
    """Hand a component that is not the last one to the device; one that it holds already is left there."""
    try:
        device.import_component(KeyUsage(request.usage), component)
    except ComponentsIncomplete as error:
        if f"part {component.part} was taken" not in str(error.text("en")):
            raise


def _change(  # noqa: PLR0917 -- what run was given, unpacked
    device: CryptoDevice, usage: KeyUsage, request: Request, version: int, given: Given, pause_s: float
) -> KeyInfo:
    made = next((info for info in device.key_versions(usage) if info.version == version), None)
    if request.action == "generate":
        return made or device.generate(usage, version=version)
    if request.action == "rotate":
        if made is None:
            device.generate(usage, version=version)
            time.sleep(pause_s)
        return device.activate(usage, version)
    if request.action.startswith("import-"):
        return made or _import(device, usage, request, version, given)
    verbs = {"switch-off": device.switch_off, "switch-on": device.switch_on, "destroy": device.destroy}
    return verbs[request.action](usage, version)


def _import(device: CryptoDevice, usage: KeyUsage, request: Request, version: int, given: Given) -> KeyInfo:
    if request.action == "import-wrapped":
        return device.import_wrapped(usage, given.blob, request.kcv, version=version)
    info: KeyInfo | None = None
    for component in given.components:
        info = device.import_component(usage, component)
    if info is None:
        raise ComponentsIncomplete(detail="parts missing")
    return info
