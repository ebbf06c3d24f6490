"""What every crypto device must do. Add a device to the ``any_device`` fixture and it is held to this."""

import gmalg
import pytest

from yimatong.crypto.devices.base import CryptoDevice, KeyState, KeyUsage
from yimatong.crypto.errors import ComponentMismatch, ComponentsIncomplete, ImportRefusedAfterCutOff, KeyNotFound

NEW_KEY = bytes(range(16))
KEYS = {KeyUsage.SECURITY: "00112233445566778899aabbccddeeff", KeyUsage.PROTECTION: "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}


def test_it_is_a_device(any_device):
    assert isinstance(any_device, CryptoDevice)
    assert any_device.name
    assert any_device.inline in {True, False}


@pytest.mark.parametrize("usage", KeyUsage)
def test_blocks_are_sm4_under_the_imported_key(any_device, usage):
    oracle = gmalg.SM4(bytes.fromhex(KEYS[usage]))
    blocks = bytes(range(48))
    expected = b"".join(oracle.encrypt(blocks[i : i + 16]) for i in (0, 16, 32))
    assert any_device.encrypt_blocks(usage, 1, blocks) == expected
    assert any_device.decrypt_blocks(usage, 1, expected) == blocks


@pytest.mark.parametrize("usage", KeyUsage)
def test_versions_tell_state_and_check_value_but_no_key(any_device, usage):
    (info,) = any_device.key_versions(usage)
    key = bytes.fromhex(KEYS[usage])
    assert (info.usage, info.version, info.state, info.live) == (usage, 1, KeyState.ACTIVE, True)
    assert info.kcv == gmalg.SM4(key).encrypt(bytes(16))[:3].hex().upper()
    assert key.hex() not in repr(info)


def test_nothing_but_blocks(any_device):
    with pytest.raises(ValueError, match="block"):
        any_device.encrypt_blocks(KeyUsage.SECURITY, 1, bytes(17))


@pytest.mark.parametrize("version", [0, 2, 99, -1])
def test_unknown_versions_are_refused_by_name(any_device, version):
    for call in (any_device.encrypt_blocks, any_device.decrypt_blocks):
        with pytest.raises(KeyNotFound):
            call(KeyUsage.PROTECTION, version, bytes(16))


def test_components_make_the_next_version_active(any_device, split):
    first, second, last = split(NEW_KEY)
    assert any_device.import_component(KeyUsage.PROTECTION, first) is None
    assert any_device.import_component(KeyUsage.PROTECTION, last) is None  # in any order
    info = any_device.import_component(KeyUsage.PROTECTION, second)
    assert (info.version, info.state) == (2, KeyState.ACTIVE)
    states = [(i.version, i.state) for i in any_device.key_versions(KeyUsage.PROTECTION)]
    assert states == [(2, KeyState.ACTIVE), (1, KeyState.ENABLED)]
    assert any_device.encrypt_blocks(KeyUsage.PROTECTION, 2, bytes(16)) == gmalg.SM4(NEW_KEY).encrypt(bytes(16))
    assert len(any_device.key_versions(KeyUsage.SECURITY)) == 1


def test_two_ceremonies_do_not_mix(any_device, split):
    one, other = split(NEW_KEY, "one", 2), split(bytes(16), "other", 2)
    assert any_device.import_component(KeyUsage.PROTECTION, one[0]) is None
    assert any_device.import_component(KeyUsage.PROTECTION, other[0]) is None
    assert any_device.import_component(KeyUsage.PROTECTION, one[1]).kcv == one[0].key_kcv
    assert any_device.import_component(KeyUsage.PROTECTION, other[1]).kcv == other[0].key_kcv


def test_component_with_a_wrong_check_value_is_refused_and_can_be_given_again(any_device, split):
    first, second = split(NEW_KEY, parts=2)
    wrong = type(first)(**{**_fields(first), "kcv": "000000"})
    with pytest.raises(ComponentMismatch):
        any_device.import_component(KeyUsage.PROTECTION, wrong)
    assert any_device.import_component(KeyUsage.PROTECTION, first) is None
    assert any_device.import_component(KeyUsage.PROTECTION, second) is not None


def test_key_with_a_wrong_check_value_drops_the_ceremony(any_device, split):
    parts = [type(part)(**{**_fields(part), "key_kcv": "000000"}) for part in split(NEW_KEY, parts=2)]
    assert any_device.import_component(KeyUsage.PROTECTION, parts[0]) is None
    with pytest.raises(ComponentMismatch):
        any_device.import_component(KeyUsage.PROTECTION, parts[1])
    assert [i.version for i in any_device.key_versions(KeyUsage.PROTECTION)] == [1]
    assert any_device.import_component(KeyUsage.PROTECTION, parts[1]) is None  # a new start


def test_components_that_contradict_are_refused(any_device, split):
    first, second = split(NEW_KEY, parts=2)
    any_device.import_component(KeyUsage.PROTECTION, first)
    with pytest.raises(ComponentsIncomplete):  # the same part again
        any_device.import_component(KeyUsage.PROTECTION, first)
    with pytest.raises(ComponentsIncomplete):  # for another usage
        any_device.import_component(KeyUsage.SECURITY, second)
    with pytest.raises(ComponentsIncomplete):  # of another number of parts
        any_device.import_component(KeyUsage.PROTECTION, type(second)(**{**_fields(second), "parts": 3}))
    with pytest.raises(ComponentsIncomplete):  # one part alone is no ceremony
        any_device.import_component(KeyUsage.PROTECTION, type(second)(**{**_fields(first), "parts": 1}))


def test_after_the_cut_off_every_import_is_refused_and_work_goes_on(any_device, split):
    first, second = split(NEW_KEY, parts=2)
    any_device.import_component(KeyUsage.PROTECTION, first)
    assert any_device.is_cut_off is False
    any_device.cut_off()
    any_device.cut_off()
    assert any_device.is_cut_off is True
    for usage in KeyUsage:
        with pytest.raises(ImportRefusedAfterCutOff):
            any_device.import_component(usage, second)
    assert len(any_device.encrypt_blocks(KeyUsage.PROTECTION, 1, bytes(32))) == 32


def test_a_component_does_not_show_its_value(split):
    component = split(NEW_KEY)[0]
    assert component.value.hex() not in repr(component)
    assert repr(component.value) not in repr(component)


def _fields(component):
    return {name: getattr(component, name) for name in type(component).__dataclass_fields__}
