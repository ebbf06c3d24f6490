"""Benchmarks and drills live in the checkout as plain scripts with ``main(argv) -> int``."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from yimatong.cli.errors import CheckoutNeeded, UnknownName
from yimatong.cli.places import CHECKOUT

_KINDS = {"bench": ("基准", "benchmark"), "drills": ("演练", "drill")}


def run_script(folder: str, name: str, arguments: Sequence[str]) -> int:
    """Run ``<folder>/<name>.py`` and return its exit status.

    Raises:
        CheckoutNeeded: this is an installed package.
        UnknownName: no such script.
    """
    place = CHECKOUT / folder
    kind_zh, kind_en = _KINDS[folder]
    if not (CHECKOUT / "pyproject.toml").is_file() or not place.is_dir():
        raise CheckoutNeeded(command=f"ymt {kind_en}")
    known = sorted(path.stem for path in place.glob("*.py") if not path.name.startswith("_"))
    stem = name.replace("-", "_")
    if stem not in known:
        names = ", ".join(stem.replace("_", "-") for stem in known) or "-"
        raise UnknownName(name=name, kind_zh=kind_zh, kind_en=kind_en, known=names)
    spec = importlib.util.spec_from_file_location(f"yimatong_{folder}_{stem}", place / f"{stem}.py")
    if spec is None or spec.loader is None:
        raise CheckoutNeeded(command=f"ymt {kind_en}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.main(list(arguments)) or 0)
