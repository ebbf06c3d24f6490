"""Reading a merchant account from a file: TOML or JSON, secrets in it, in files beside it, or typed without echo.

A file that holds secrets, and every file that one is in, must be closed to others (mode 0600 or 0400).
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from yimatong.cli.errors import FileOpenToOthers, InputUnreadable
from yimatong.payments.administration.schemas import AccountFile
from yimatong.payments.errors import AccountChangeInvalid

_OTHERS: Final = 0o077


def read_account(path: Path, ask: Sequence[str]) -> AccountFile:
    """Return the account of a file. ``[secret_files]`` names files (beside it) that secrets are in; ``ask`` is typed.

    Raises:
        InputUnreadable: no such file, or nothing was typed. FileOpenToOthers: others may read a secret.
        AccountChangeInvalid: not the documented shape.
    """
    given = _decoded(path)
    files = given.pop("secret_files", {})
    if not isinstance(files, dict) or not isinstance(given.get("secrets", {}), dict):
        raise AccountChangeInvalid(detail="secrets, secret_files")
    if given.get("secrets"):
        _require_closed(path)
    secrets = {
        **given.get("secrets", {}),
        **{str(name): _secret_in(path.parent / str(place)) for name, place in files.items()},
        **{name: _typed(name) for name in ask},
    }
    try:
        return msgspec.convert({**given, "secrets": secrets}, AccountFile)
    except msgspec.ValidationError as error:
        raise AccountChangeInvalid(detail=str(error)[:200]) from error


def _decoded(path: Path) -> dict[str, Any]:
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return dict(decode(_text(path).encode(), type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise AccountChangeInvalid(detail=f"{path.name}: 不是 TOML 或 JSON / not TOML or JSON") from error


def _secret_in(path: Path) -> str:
    _require_closed(path)
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputUnreadable(what=str(path)) from error


def _require_closed(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputUnreadable(what=str(path)) from error
    if os.name != "nt" and mode & _OTHERS:
        raise FileOpenToOthers(path=path)


def _typed(name: str) -> str:
    try:
        value = getpass.getpass(f"{name}: ").strip()
    except EOFError as error:
        raise InputUnreadable(what=name) from error
    if not value:
        raise InputUnreadable(what=name)
    return value
