"""The settings files of an installation made by ``ymt up``: written once, secrets kept, addresses renewed.

``settings.toml`` serves every process; a front reads ``settings.<front>.toml``, the same with its own id and key, as
a front on a machine of its own would hold them.
"""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from yimatong.cli.ports import addresses
from yimatong.kit.settings import Addresses, Settings, SettingsInvalid

FRONTS = {"institution-front": "front-institution", "internet-front": "front-internet"}
"""Process -> caller id of the front."""

DEMONSTRATION_HIS = "his-610000-001"
"""The caller of the demonstration that a system on this machine stands for when it sends HL7 v2 messages."""

_RENEWED = {"data", "database_url", "keystore", "addresses"}
"""Decided by where and how ``ymt up`` is called, not by the file."""

_SANDBOX = Addresses().sandbox


def settings_path(data: Path, process: str = "") -> Path:
    """Return the file that a process reads."""
    return data / (f"settings.{process}.toml" if process in FRONTS else "settings.toml")


def write(data: Path, *, database_url: str, port_base: int) -> bool:
    """Write all settings files (mode 0600), keeping what is in them but for places and addresses.

    Return whether the simulated outside world has moved to another address since they were last written.

    Raises:
        SettingsInvalid: a file that is there cannot be read.
    """
    known = addresses(port_base)
    before = _sandbox_of(read(settings_path(data)))
    shared = {
        **_generated(),
        **_sandbox_urls(known),
        **_kept(settings_path(data), known),
        "data": str(data),
        "database_url": database_url,
        "keystore": str(data / "keystore.json"),
        "addresses": {name: getattr(known, name) for name in known.__struct_fields__},
    }
    if shared.setdefault("mode", "demonstration") == "demonstration":
        shared.setdefault("hl7v2_partners", [{"caller_id": DEMONSTRATION_HIS}])
    put(settings_path(data), shared)
    for process, front_id in FRONTS.items():
        path = settings_path(data, process)
        secret = _kept(path, known).get("front_secret") or secrets.token_hex(32)
        put(path, {**shared, "front_id": front_id, "front_secret": secret})
    return before not in {"", known.sandbox}


def _generated() -> dict[str, object]:
    """Draw the secrets of a demonstration: every required text, and a passphrase for its keystore."""
    fields = msgspec.structs.fields(Settings)
    names = [field.name for field in fields if field.required and field.type is str]
    return {name: secrets.token_hex(32) for name in (*names, "keystore_passphrase")}


def _sandbox_urls(known: Addresses) -> dict[str, object]:
    """Move the outside parties' addresses that stand on the sandbox by default to where it is."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    return {
        name: known.sandbox + value.removeprefix(_SANDBOX)
        for name, value in defaults.items()
        if isinstance(value, str) and value.startswith(_SANDBOX)
    }


def read(path: Path) -> dict[str, Any]:
    """Return what stands in a settings file, nothing if there is none; raises ``SettingsInvalid``."""
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(detail=f"{path}: {error}") from error


def _sandbox_of(found: Mapping[str, Any]) -> str:
    return str(found.get("addresses", {}).get("sandbox", ""))


def _kept(path: Path, known: Addresses) -> dict[str, object]:
    found = read(path)
    old = _sandbox_of(found)
    kept = {name: value for name, value in found.items() if name not in _RENEWED}
    for name, value in kept.items():
        if old and isinstance(value, str) and value.startswith(old):
            kept[name] = known.sandbox + value.removeprefix(old)
    return kept


def put(path: Path, values: Mapping[str, object]) -> None:
    """Replace a settings file (mode 0600)."""
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# ymt up 写入：密钥保留，地址每次更新 / written by ymt up: secrets stay, addresses are renewed\n")
        file.write("\n".join(lines) + "\n")
    draft.replace(path)


def _toml(value: object) -> str:
    """Write a value; JSON's texts, numbers and booleans are TOML's too, its objects are not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)
