"""What the commands that need a secret share: reading it without echo, and the parts of the installation."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from yimatong.apps.assembly import Parts, assemble
from yimatong.cli.errors import InputUnreadable
from yimatong.kit import log, settings

PasswordFile = Annotated[str, typer.Option(help="口令文件，- 为标准输入 / file of the password, - for stdin")]
T = TypeVar("T")


def read_secret(file: str, prompt: str) -> str:
    """Read one line without echo, from a file, or from standard input (``-``).

    Raises:
        InputUnreadable: there is no such file, it is no text, or nothing was typed.
    """
    try:
        if file == "-":
            return sys.stdin.readline().rstrip("\r\n")
        if file:
            return Path(file).read_text("utf-8").strip()
        return getpass.getpass(f"{prompt}: ")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputUnreadable(what=prompt) from error


async def with_parts(work: Callable[[Parts], Awaitable[T]]) -> T:
    """Run ``work`` with the parts of the installation that the settings name, and close them."""
    log.set_up(process="keys", level=40)
    parts = assemble(settings.load())
    try:
        return await work(parts)
    finally:
        await parts.close()
