"""The processes that make up a platform, and the modules that assemble them. Imports nothing heavy."""

from __future__ import annotations

import importlib.util

PROCESSES = ("sandbox", "core", "institution-front", "internet-front", "web", "health", "worker")
"""In the order of the start."""

HEALTH = {"sandbox": "/health/live"}
"""Page that tells that a process is ready, where it is not ``/health/ready``: simulators depend on nothing."""

DEMONSTRATION = "yimatong.apps.demonstration"
"""``load(settings)`` loads the demonstration data; ``LOGINS`` and ``FIRST_STEPS`` introduce it."""


def kind_of(name: str) -> str:
    """Return which process a name stands for: ``core@2`` is the second process of ``core`` on the same port."""
    return name.partition("@")[0]


def module_of(process: str) -> str:
    """Return the module that assembles a process."""
    return f"yimatong.apps.{process.replace('-', '_')}"


def available() -> list[str]:
    """Return the processes that this version has."""
    return [name for name in PROCESSES if importlib.util.find_spec(module_of(name)) is not None]
