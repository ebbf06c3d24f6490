"""The port of the symbologies: what is missing says so, and a vendor's package fills the gap."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from yimatong.cards.errors import SymbologyDriverFailed, SymbologyNotAvailable, SymbologyUnknown
from yimatong.cards.symbologies import registry
from yimatong.cards.symbologies.drawn import QR

DRIVER = """
quiet_zone, standard = 5, "GB/T 27767-2011"

def draw(text, medium):
    bits = "".join(f"{octet:08b}" for octet in text.encode())
    side = 40
    return [bits.ljust(side * side, "0")[at : at + side] for at in range(0, side * side, side)]

draw.quiet_zone, draw.standard = quiet_zone, standard

def ragged(text, medium):
    return ["101", "10"]

ragged.quiet_zone, ragged.standard = 1, ""

def raises(text, medium):
    raise OSError("the device is not plugged in")

raises.quiet_zone, raises.standard = 1, ""
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A vendor's package on the path: an importable module and its metadata, as pip leaves them."""
    (tmp_path / "a_vendor.py").write_text(DRIVER)
    about = tmp_path / "a_vendor-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-vendor\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[yimatong.symbologies]\ncm = a_vendor:draw\nragged = a_vendor:ragged\nraises = a_vendor:raises\n"
        "absent = a_vendor:nothing\nqr = a_vendor:draw\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.known.cache_clear()
    yield
    registry.known.cache_clear()
    sys.modules.pop("a_vendor", None)


@pytest.mark.parametrize(
    ("name", "lack"), [("cm", "GB/T 27767-2011"), ("d9ing", "certified device")], ids=["cm", "d9ing"]
)
def test_what_is_missing_is_named_in_both_languages(name: str, lack: str) -> None:
    with pytest.raises(SymbologyNotAvailable) as refused:
        registry.get(name).draw("text", "paper")
    assert lack in refused.value.text("en")
    assert "驱动包" in refused.value.text("zh")
    assert "yimatong.symbologies" in refused.value.text("zh")


def test_an_unknown_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(SymbologyUnknown) as refused:
        registry.get("<script>")
    assert "script" not in refused.value.text("en")


@pytest.mark.usefixtures("installed")
def test_a_package_brings_cm() -> None:
    modules = registry.get("cm").draw("AB", "paper")
    assert modules.rows[0].startswith("0100000101000010")
    assert (modules.quiet_zone, modules.width) == (5, 50)
    assert registry.get("cm").standard == "GB/T 27767-2011"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["ragged", "raises", "absent"])
def test_a_broken_driver_fails_alone_and_by_name(name: str) -> None:
    with pytest.raises(SymbologyDriverFailed):
        registry.get(name).draw("text", "screen")
    assert registry.get("d9ing").title == "D9ing"


@pytest.mark.usefixtures("installed")
def test_a_package_cannot_take_the_place_of_qr() -> None:
    assert registry.get("qr") is QR
