"""The settings files between two starts: secrets stay, addresses follow, and a move of the outside world is told."""

from __future__ import annotations

from pathlib import Path

from yimatong.cli import configuration
from yimatong.kit import settings


def test_a_move_of_the_ports_is_told_once(tmp_path: Path) -> None:
    def write(port_base: int) -> bool:
        return configuration.write(tmp_path, database_url="postgresql://nowhere", port_base=port_base)

    assert [write(9000), write(9000), write(9200), write(9200)] == [False, False, True, False]
    found = settings.load(configuration.settings_path(tmp_path))
    assert found.addresses.sandbox == found.wechat_base_url == "http://127.0.0.1:9290"


def test_crypto_machines_survive_a_renewal_of_the_settings(tmp_path):
    configuration.write(tmp_path, database_url="postgresql://x/y", port_base=9400)
    path = configuration.settings_path(tmp_path)
    machine = {"name": "hsm-a", "library": "/lib/libsdf.so", "pin": "12345678", "signing_indexes": [2, 3]}
    configuration.put(path, configuration.read(path) | {"device": "sdf", "crypto_machines": [machine]})
    configuration.write(tmp_path, database_url="postgresql://x/y", port_base=9500)
    known = settings.load(path)
    assert known.device == "sdf"
    (read,) = known.crypto_machines
    assert (read.name, str(read.library), read.pin, read.signing_indexes) == (
        "hsm-a",
        "/lib/libsdf.so",
        "12345678",
        (2, 3),
    )
