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
