"""A soft device with known keys, as the vectors in tests/vectors/codes.json use them."""

import json
from pathlib import Path

import pytest

from yimatong.crypto.devices.base import Component, KeyUsage
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
    device = SoftDevice.create(path / "keystore.json", "correct horse")
    device.import_components(KeyUsage.SECURITY, components(SECURITY_KEY, "security"))
    device.import_components(KeyUsage.PROTECTION, components(PROTECTION_KEY, "protection"))
    device.generate(KeyUsage.SIGNING)
    return device


@pytest.fixture
def device(tmp_path):
    return _soft(tmp_path)


def _empty_soft(path):
    return SoftDevice.create(path / "other.json", "correct horse")


@pytest.fixture(params=[pytest.param((_soft, _empty_soft), id="soft")])
def any_device_kind(request):
    """How to make a device of each kind: loaded with the known keys, and empty."""
    return request.param


@pytest.fixture
def any_device(any_device_kind, tmp_path):
    """Every device of the conformance suite, loaded with the known keys and one signing pair."""
    return any_device_kind[0](tmp_path)


@pytest.fixture
def other_device(any_device_kind, tmp_path):
    """A second, empty device of the same kind, as a backup is restored to."""
    return any_device_kind[1](tmp_path)
