"""What every crypto device must do. Add a device to the ``any_device`` fixture and it is held to this."""

import gmalg
import pytest

from yimatong.crypto.devices.base import BLOCK_USAGES, Component, CryptoDevice, KeyState, KeyUsage
from yimatong.crypto.errors import (
    ActivationRefused,
    ActiveKeyInUse,
    BackupRefused,
    ComponentMismatch,
    ComponentsIncomplete,
    ImportRefusedAfterCutOff,
    KeyDisabled,
    KeyNotFound,
    SignatureInvalid,
    VersionNotNext,
)
from yimatong.crypto.gm import sm2, sm4

NEW_KEY = bytes(range(16))
KEYS = {KeyUsage.SECURITY: "00112233445566778899aabbccddeeff", KeyUsage.PROTECTION: "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}


def test_it_is_a_device(any_device):
    assert isinstance(any_device, CryptoDevice)
    assert any_device.demonstration is False
    assert any_device.name
    assert any_device.inline in {True, False}


PROTECTION, SIGNING = KeyUsage.PROTECTION, KeyUsage.SIGNING


@pytest.mark.parametrize("usage", BLOCK_USAGES)
def test_blocks_are_sm4_under_the_imported_key(any_device, usage):
    oracle = gmalg.SM4(bytes.fromhex(KEYS[usage]))
    blocks = bytes(range(48))
    expected = b"".join(oracle.encrypt(blocks[i : i + 16]) for i in (0, 16, 32))
    assert any_device.encrypt_blocks(usage, 1, blocks) == expected
    assert any_device.decrypt_blocks(usage, 1, expected) == blocks


@pytest.mark.parametrize("usage", BLOCK_USAGES)
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


def test_components_make_the_next_version(any_device, split):
    first, second, last = split(NEW_KEY)
    assert any_device.import_component(KeyUsage.PROTECTION, first) is None
    assert any_device.import_component(KeyUsage.PROTECTION, last) is None  # in any order
    info = any_device.import_component(KeyUsage.PROTECTION, second)
    assert (info.version, info.state, info.live) == (2, KeyState.READY, False)
    assert _states(any_device) == {2: KeyState.READY, 1: KeyState.ACTIVE}
    assert any_device.activate(KeyUsage.PROTECTION, 2).state is KeyState.ACTIVE
    assert _states(any_device) == {2: KeyState.ACTIVE, 1: KeyState.ENABLED}
    assert any_device.encrypt_blocks(KeyUsage.PROTECTION, 2, bytes(16)) == gmalg.SM4(NEW_KEY).encrypt(bytes(16))
    assert len(any_device.key_versions(KeyUsage.SECURITY)) == 1


def test_two_ceremonies_do_not_mix(any_device, split):
    one, other = split(NEW_KEY, "one", 2), split(NEW_KEY[::-1], "other", 2)
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
        with pytest.raises(ImportRefusedAfterCutOff):
            any_device.import_wrapped(usage, bytes(113), "000000")
    with pytest.raises(ImportRefusedAfterCutOff):
        any_device.restore(any_device.backup(split(NEW_KEY)), split(NEW_KEY))
    assert any_device.generate(KeyUsage.PROTECTION).version == 2  # made inside, nothing imported
    assert len(any_device.encrypt_blocks(KeyUsage.PROTECTION, 1, bytes(32))) == 32


def test_a_component_does_not_show_its_value(split):
    component = split(NEW_KEY)[0]
    assert component.value.hex() not in repr(component)
    assert repr(component.value) not in repr(component)


def test_a_generated_version_waits_and_versions_go_forward_only(any_device):
    first = any_device.encrypt_blocks(PROTECTION, 1, bytes(16))
    assert any_device.generate(PROTECTION, version=2).state is KeyState.READY
    assert any_device.generate(PROTECTION).version == 3
    for wrong in (2, 3, 5):
        with pytest.raises(VersionNotNext):
            any_device.generate(PROTECTION, version=wrong)
    with pytest.raises(ActivationRefused):
        any_device.switch_off(PROTECTION, 2)  # not activated yet
    for _ in range(2):
        assert any_device.activate(PROTECTION, 3).state is KeyState.ACTIVE
    with pytest.raises(ActivationRefused):
        any_device.activate(PROTECTION, 2)
    with pytest.raises(ActivationRefused):
        any_device.activate(PROTECTION, 1)
    assert _states(any_device) == {3: KeyState.ACTIVE, 2: KeyState.READY, 1: KeyState.ENABLED}
    assert any_device.encrypt_blocks(PROTECTION, 1, bytes(16)) == first
    assert len({any_device.encrypt_blocks(PROTECTION, v, bytes(16)) for v in (1, 2, 3)}) == 3


def test_switching_off_and_on_and_destroying_are_repeatable(any_device):
    _rotate(any_device, PROTECTION)
    before = any_device.encrypt_blocks(PROTECTION, 1, bytes(16))
    for _ in range(2):
        assert any_device.switch_off(PROTECTION, 1).live is False
    assert any_device.encrypt_blocks(PROTECTION, 1, bytes(16)) == before  # sealed data still opens
    for _ in range(2):
        assert any_device.switch_on(PROTECTION, 1).live is True
    for _ in range(2):
        assert any_device.destroy(PROTECTION, 1).state is KeyState.DESTROYED
    for call in (any_device.encrypt_blocks, any_device.decrypt_blocks):
        with pytest.raises(KeyNotFound):
            call(PROTECTION, 1, bytes(16))
    for verb in (any_device.switch_on, any_device.switch_off, any_device.activate):
        with pytest.raises(KeyNotFound):
            verb(PROTECTION, 1)
    with pytest.raises(KeyNotFound):
        any_device.destroy(PROTECTION, 9)
    assert _states(any_device) == {2: KeyState.ACTIVE, 1: KeyState.DESTROYED}
    assert any_device.generate(PROTECTION).version == 3  # a version number never returns


@pytest.mark.parametrize("usage", KeyUsage)
def test_the_active_version_is_neither_switched_off_nor_destroyed(any_device, usage):
    for verb in (any_device.switch_off, any_device.switch_on, any_device.destroy):
        with pytest.raises(ActiveKeyInUse):
            verb(usage, 1)
    assert _states(any_device, usage) == {1: KeyState.ACTIVE}


def test_a_wrapped_key_is_taken_once_and_only_whole(any_device):
    oracle = gmalg.SM2(pk=any_device.transport_public_key())
    assert any_device.transport_public_key() == any_device.transport_public_key()
    wrapped, kcv = oracle.encrypt(NEW_KEY), sm4.key_check_value(NEW_KEY)
    assert len(wrapped) == 113
    for bad in (wrapped[:-1], wrapped[:112] + bytes([wrapped[112] ^ 1]), bytes(113), b"", oracle.encrypt(bytes(15))):
        with pytest.raises(ComponentMismatch):
            any_device.import_wrapped(PROTECTION, bad, kcv)
    with pytest.raises(ComponentMismatch):
        any_device.import_wrapped(PROTECTION, wrapped, "000000")
    with pytest.raises(ComponentsIncomplete):
        any_device.import_wrapped(SIGNING, wrapped, kcv)
    info = any_device.import_wrapped(PROTECTION, wrapped, kcv.lower(), version=2)
    assert (info.version, info.state, info.kcv) == (2, KeyState.READY, kcv)
    with pytest.raises(VersionNotNext):
        any_device.import_wrapped(PROTECTION, wrapped, kcv, version=2)
    assert any_device.encrypt_blocks(PROTECTION, 2, bytes(16)) == gmalg.SM4(NEW_KEY).encrypt(bytes(16))


def test_signatures_verify_under_the_public_key_of_their_version(any_device):
    digest = sm2.digest(any_device.public_key(1), b"message")
    signature = any_device.sign(1, digest)
    assert len(signature) == 64
    public = any_device.public_key(1)
    assert len(public) == 65
    assert gmalg.SM2(uid=sm2.DEFAULT_ID, pk=public).verify(b"message", signature[:32], signature[32:])
    _rotate(any_device, SIGNING)
    assert any_device.public_key(2) != public
    with pytest.raises(SignatureInvalid):
        sm2.verify(any_device.public_key(2), b"message", signature)
    sm2.verify(public, b"message", any_device.sign(1, digest))  # still live
    any_device.switch_off(SIGNING, 1)
    with pytest.raises(KeyDisabled):
        any_device.sign(1, digest)
    assert any_device.public_key(1) == public
    any_device.destroy(SIGNING, 1)
    for call in (
        lambda: any_device.sign(1, digest),
        lambda: any_device.public_key(1),
        lambda: any_device.sign(9, digest),
    ):
        with pytest.raises(KeyNotFound):
            call()
    assert _info(any_device, SIGNING, 2).kcv == sm2.key_check_value(any_device.public_key(2))


def test_signing_keys_sign_32_bytes_and_do_nothing_else(any_device, split):
    with pytest.raises(ValueError, match="32 bytes"):
        any_device.sign(1, bytes(31))
    for call in (any_device.encrypt_blocks, any_device.decrypt_blocks):
        with pytest.raises(ValueError, match="block"):
            call(SIGNING, 1, bytes(16))
    with pytest.raises(ComponentsIncomplete):
        any_device.import_component(SIGNING, split(NEW_KEY)[0])
    any_device.generate(SIGNING)
    with pytest.raises(KeyDisabled):  # ready is not live
        any_device.sign(2, bytes(32))


def test_an_abandoned_ceremony_starts_anew(any_device, split):
    first, second = split(NEW_KEY, parts=2)
    any_device.import_component(PROTECTION, first)
    for _ in range(2):
        any_device.abandon_ceremony("c1")
    assert any_device.import_component(PROTECTION, second) is None


def test_a_backup_brings_a_new_device_to_the_same_keys(any_device, other_device):
    _rotate(any_device, PROTECTION)
    any_device.switch_off(PROTECTION, 1)
    any_device.generate(SIGNING)
    backup = any_device.backup(CUSTODIANS)
    for secret in KEYS.values():
        assert bytes.fromhex(secret) not in backup
    for _ in range(2):
        other_device.restore(backup, [CUSTODIANS[1], CUSTODIANS[0]])
    for usage in KeyUsage:
        assert list(other_device.key_versions(usage)) == list(any_device.key_versions(usage))
    for version in (1, 2):
        assert other_device.encrypt_blocks(PROTECTION, version, bytes(16)) == any_device.encrypt_blocks(
            PROTECTION, version, bytes(16)
        )
    assert other_device.public_key(2) == any_device.public_key(2)
    sm2.verify(any_device.public_key(1), b"m", other_device.sign(1, sm2.digest(any_device.public_key(1), b"m")))


def test_a_backup_opens_only_whole_and_with_its_own_components(any_device, other_device):
    backup = any_device.backup(CUSTODIANS)
    for wrong in (CUSTODIANS[:1], [], [CUSTODIANS[0]] * 2):
        with pytest.raises(ComponentsIncomplete):
            other_device.restore(backup, wrong)
    with pytest.raises(ComponentMismatch):  # two equal components make no key
        any_device.backup([CUSTODIANS[0], _component(2, CUSTODIANS[0].value)])
    with pytest.raises(BackupRefused):
        other_device.restore(backup, [CUSTODIANS[0], _component(2, bytes(range(2, 18)))])
    for bad in (b"", b"{}", backup[:-1], backup.replace(b'"sealed":"', b'"sealed":"AAAA'), b"[]"):
        with pytest.raises(BackupRefused):
            other_device.restore(bad, CUSTODIANS)
    assert all(not other_device.key_versions(usage) for usage in KeyUsage)


def test_an_old_backup_undoes_nothing_that_the_device_knows(any_device, other_device):
    backup = any_device.backup(CUSTODIANS)
    _rotate(any_device, PROTECTION)
    _rotate(any_device, SIGNING)
    any_device.switch_off(SIGNING, 1)
    any_device.destroy(PROTECTION, 1)
    any_device.restore(backup, CUSTODIANS)
    assert _states(any_device) == {2: KeyState.ACTIVE, 1: KeyState.DESTROYED}
    assert _states(any_device, SIGNING) == {2: KeyState.ACTIVE, 1: KeyState.DISABLED}
    with pytest.raises(KeyNotFound):
        any_device.encrypt_blocks(PROTECTION, 1, bytes(16))
    any_device.cut_off()
    later = any_device.backup(CUSTODIANS)
    with pytest.raises(ImportRefusedAfterCutOff):
        any_device.restore(backup, CUSTODIANS)
    other_device.restore(later, CUSTODIANS)  # a cut-off travels with the backup
    assert other_device.is_cut_off
    assert _states(other_device) == {2: KeyState.ACTIVE, 1: KeyState.DESTROYED}


def test_a_backup_with_another_value_under_a_known_number_is_refused(any_device, other_device):
    other_device.generate(PROTECTION)
    with pytest.raises(BackupRefused):
        other_device.restore(any_device.backup(CUSTODIANS), CUSTODIANS)
    assert [len(other_device.key_versions(usage)) for usage in KeyUsage] == [0, 1, 0]


def _component(part, value):
    return Component(ceremony="b", part=part, parts=2, value=value, kcv=sm4.key_check_value(value), key_kcv="")


CUSTODIANS = [_component(1, bytes(range(16))), _component(2, bytes(range(1, 17)))]


def _rotate(device, usage):
    device.activate(usage, device.generate(usage).version)


def _info(device, usage, version):
    return next(info for info in device.key_versions(usage) if info.version == version)


def _states(device, usage=PROTECTION):
    return {info.version: info.state for info in device.key_versions(usage)}


def _fields(component):
    return {name: getattr(component, name) for name in type(component).__dataclass_fields__}
