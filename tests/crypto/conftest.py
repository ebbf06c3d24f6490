"""Devices with known keys, as the vectors in tests/vectors/codes.json use them."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import sdf_machines

from yimatong.crypto.devices.base import Component, KeyUsage
from yimatong.crypto.devices.sdf import SdfDevice
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm import sm4

VECTORS = Path(__file__).parent.parent / "vectors"
SECURITY_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
PROTECTION_KEY = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")


def components(key, ceremony="c1", parts=3):
    """Split ``key`` into components, the last being what is missing to it."""
    values = [bytes([17 * part]) * 16 for part in range(1, parts)]
    rest = int.from_bytes(key, "big")
    for value in values:
        rest ^= int.from_bytes(value, "big")
    values.append(rest.to_bytes(16, "big"))
    return [
        Component(
            ceremony=ceremony,
            part=part,
            parts=parts,
            value=value,
            kcv=sm4.key_check_value(value),
            key_kcv=sm4.key_check_value(key),
        )
        for part, value in enumerate(values, 1)
    ]


@pytest.fixture
def vectors():
    return lambda name: json.loads((VECTORS / name).read_text("utf-8"))


@pytest.fixture
def split():
    return components


def _soft(path):
    return _loaded(SoftDevice.create(path / "keystore.json", "correct horse"))


def _loaded(device):
    device.import_components(KeyUsage.SECURITY, components(SECURITY_KEY, "security"))
    device.import_components(KeyUsage.PROTECTION, components(PROTECTION_KEY, "protection"))
    device.generate(KeyUsage.SIGNING)
    return device


@pytest.fixture
def device(tmp_path):
    return _soft(tmp_path)


def _empty_soft(path):
    return SoftDevice.create(path / "other.json", "correct horse")


class Sdf:
    """The sdf device over the tests' own library: made with these flags and settings, closed and judged at the end."""

    def __init__(self, *flags, **settings):
        self.flags, self.settings = flags, settings

    def loaded(self, path):
        return _loaded(self._open(path / "book.json", self._machine(path)))

    def empty(self, path):
        """A second device that has the same key pairs, as machines have that share their keys."""
        folder = path / "other"
        folder.mkdir()
        return self._open(folder / "book.json", self._machine(folder, like=_machines[-1]))

    def _machine(self, folder, like=None):
        made = sdf_machines.machine(folder, flags=self.flags, like=like, **self.settings)
        _machines.append(made)
        return made

    def _open(self, book, machine):
        _devices.append(SdfDevice.create(book, "correct horse", [machine.settings]))
        return _devices[-1]


_machines, _devices = [], []

KINDS = {
    "soft": (_soft, _empty_soft),
    "sdf": (Sdf().loaded, Sdf().empty),
    "sdf-2012": (Sdf("-DONLY_WHAT_IS_NEEDED").loaded, Sdf("-DONLY_WHAT_IS_NEEDED").empty),
    "sdf-kek": (Sdf(kek_index=1).loaded, Sdf(kek_index=1).empty),
}


@pytest.fixture(params=[pytest.param(kind, id=name) for name, kind in KINDS.items()])
def any_device_kind(request):
    """How to make a device of each kind: loaded with the known keys, and empty."""
    yield request.param
    for device in _devices:
        device.close()
    breaches = [breach for machine in _machines for breach in machine.breaches]
    _devices.clear()
    _machines.clear()
    assert breaches == [], "the driver broke the rules of GM/T 0018"


@pytest.fixture
def any_device(any_device_kind, tmp_path):
    """Every device of the conformance suite, loaded with the known keys and one signing pair."""
    return any_device_kind[0](tmp_path)


@pytest.fixture
def other_device(any_device_kind, tmp_path):
    """A second, empty device of the same kind, as a backup is restored to."""
    return any_device_kind[1](tmp_path)
