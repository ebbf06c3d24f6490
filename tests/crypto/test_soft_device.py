import json
import stat
import threading

import pytest

from yimatong.crypto.devices.base import KeyState, KeyUsage
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.errors import (
    ActiveKeyInUse,
    ComponentsIncomplete,
    DemonstrationKeysInProduction,
    DeviceUnavailable,
    ImportRefusedAfterCutOff,
    KeyNotFound,
    KeystoreExists,
    KeystoreUnreadable,
    PassphraseWrong,
    VersionNotNext,
)

PROTECTION = KeyUsage.PROTECTION
NEW_KEY = bytes(range(16))


@pytest.fixture
def path(device, tmp_path):
    return tmp_path / "keystore.json"


def _open(path, passphrase="correct horse", *, production=True):
    return SoftDevice.open(path, passphrase, production=production)


def _states(device, usage=PROTECTION):
    return {info.version: info.state for info in device.key_versions(usage)}


def test_keys_survive_a_restart(device, path):
    device.rotate(PROTECTION)
    again = _open(path)
    for version in (1, 2):
        assert again.encrypt_blocks(PROTECTION, version, bytes(16)) == device.encrypt_blocks(
            PROTECTION, version, bytes(16)
        )
    assert list(again.key_versions(PROTECTION)) == list(device.key_versions(PROTECTION))


def test_file_is_for_the_owner_only_and_holds_no_key_in_the_clear(device, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"00112233445566778899aabbccddeeff" not in path.read_bytes().lower()
    assert "keys" not in json.loads(path.read_bytes())
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".new")] == []


def test_wrong_passphrase_is_refused_by_name(device, path):
    with pytest.raises(PassphraseWrong):
        _open(path, "incorrect horse")


def test_altered_file_does_not_open(device, path):
    good = json.loads(path.read_bytes())
    for field in ("salt", "iv", "sealed"):
        text = good[field]
        bad = {**good, field: ("B" if text[0] == "A" else "A") + text[1:]}
        path.write_text(json.dumps(bad))
        with pytest.raises(PassphraseWrong):
            _open(path)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"format": "X"}'])
def test_file_in_another_format_is_refused_by_name(tmp_path, content):
    (tmp_path / "k").write_text(content)
    with pytest.raises(KeystoreUnreadable):
        _open(tmp_path / "k")


@pytest.mark.parametrize(("field", "value"), [("format", "YMT-KEYSTORE-9"), ("n", 2), ("n", 2**40), ("r", 1), ("p", 9)])
def test_file_with_weak_or_costly_parameters_is_refused(device, path, field, value):
    path.write_text(json.dumps({**json.loads(path.read_bytes()), field: value}))
    with pytest.raises(KeystoreUnreadable):
        _open(path)


def test_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(KeystoreUnreadable):
        _open(tmp_path / "nothing")


def test_a_keystore_is_never_overwritten(device, path):
    before = path.read_bytes()
    for create in (SoftDevice.create, SoftDevice.create_demonstration):
        with pytest.raises(KeystoreExists):
            create(path, "other")
    assert path.read_bytes() == before


def test_demonstration_keys_work_anywhere_but_in_production(tmp_path):
    made = SoftDevice.create_demonstration(tmp_path / "demo", "demo")
    assert made.demonstration
    assert _states(made) == _states(made, KeyUsage.SECURITY) == {1: KeyState.ACTIVE}
    assert _open(tmp_path / "demo", "demo", production=False).demonstration
    with pytest.raises(DemonstrationKeysInProduction):
        _open(tmp_path / "demo", "demo")


def test_two_demonstrations_have_different_keys(tmp_path):
    one, two = (SoftDevice.create_demonstration(tmp_path / name, "demo") for name in "ab")
    assert one.encrypt_blocks(PROTECTION, 1, bytes(16)) != two.encrypt_blocks(PROTECTION, 1, bytes(16))


def test_life_of_a_key(device):
    with pytest.raises(ActiveKeyInUse):
        device.switch_off(PROTECTION, 1)
    with pytest.raises(ActiveKeyInUse):
        device.destroy(PROTECTION, 1)
    assert device.rotate(PROTECTION).version == 2
    assert _states(device) == {2: KeyState.ACTIVE, 1: KeyState.ENABLED}
    before = device.encrypt_blocks(PROTECTION, 1, bytes(16))
    assert device.switch_off(PROTECTION, 1).live is False
    assert device.encrypt_blocks(PROTECTION, 1, bytes(16)) == before
    assert device.switch_on(PROTECTION, 1).live is True
    assert device.destroy(PROTECTION, 1).state is KeyState.DESTROYED
    with pytest.raises(KeyNotFound):
        device.encrypt_blocks(PROTECTION, 1, bytes(16))
    with pytest.raises(KeyNotFound):
        device.switch_on(PROTECTION, 1)
    assert device.generate(PROTECTION).version == 3  # a version number never returns


def test_rotating_nothing_is_refused(tmp_path):
    with pytest.raises(KeyNotFound):
        SoftDevice.create(tmp_path / "k", "p").rotate(PROTECTION)


def test_cut_off_is_kept_in_the_file(device, path, split):
    device.cut_off()
    again = _open(path)
    assert again.is_cut_off
    with pytest.raises(ImportRefusedAfterCutOff):
        again.import_components(PROTECTION, split(NEW_KEY))
    assert again.rotate(PROTECTION).version == 2  # generated inside, nothing imported


def test_cut_off_in_one_process_holds_in_another(device, path, split):
    other = _open(path)
    device.cut_off()
    with pytest.raises(ImportRefusedAfterCutOff):
        other.import_components(PROTECTION, split(NEW_KEY))


def test_changes_of_one_process_are_seen_by_another(device, path):
    other = _open(path)
    device.rotate(PROTECTION)
    device.switch_off(PROTECTION, 1)
    assert _states(other) == {2: KeyState.ACTIVE, 1: KeyState.DISABLED}
    other.rotate(PROTECTION)
    assert _states(device) == {3: KeyState.ACTIVE, 2: KeyState.ENABLED, 1: KeyState.DISABLED}


def test_changes_at_the_same_time_are_all_kept(device, path):
    devices = [_open(path) for _ in range(4)]
    threads = [threading.Thread(target=lambda d=d: [d.generate(PROTECTION) for _ in range(5)]) for d in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_states(device)) == list(range(1, 22))


def test_a_ceremony_goes_on_after_a_restart(device, path, split):
    first, second = split(NEW_KEY, parts=2)
    assert device.import_component(PROTECTION, first) is None
    assert _open(path).import_component(PROTECTION, second).version == 2


def test_too_few_components_at_once_are_refused(device, split):
    with pytest.raises(ComponentsIncomplete):
        device.import_components(PROTECTION, split(NEW_KEY)[:2])


def test_versions_end_at_255(device):
    contents = device._contents
    next(key for key in contents.keys if key.usage == PROTECTION).version = 255
    device._keystore.write(contents)
    with pytest.raises(VersionNotNext):
        device.generate(PROTECTION)


def test_a_change_that_cannot_be_written_changes_nothing(device, path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(DeviceUnavailable):
        device.rotate(PROTECTION)
    monkeypatch.undo()
    assert _states(device) == {1: KeyState.ACTIVE}
    assert _states(_open(path)) == {1: KeyState.ACTIVE}
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".new")] == []
