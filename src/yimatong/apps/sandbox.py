"""The outside world on the wire: simulators written from the specifications. Never part of a production site."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from litestar.types import ASGIApp

from yimatong.kit.settings import Settings
from yimatong.sandbox import app
from yimatong.sandbox.app import World


@cache
def _world(directory: Path) -> World:
    return World(directory)


def build(settings: Settings) -> ASGIApp:
    """Return the wire of the simulators."""
    return app.build(_world(settings.data / "sandbox"))


def build_control(settings: Settings) -> ASGIApp:
    """Return their control port."""
    return app.build_control(_world(settings.data / "sandbox"))
