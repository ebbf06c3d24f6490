import threading

import pytest

from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.errors import DeviceUnavailable, KeyNotFound, ReferenceInvalid, SealBroken
from yimatong.crypto.vault import Vault

MPI = "0123456789abcdef0123456789abcdef"
ID = "11010519491231002X"
PROTECTION = KeyUsage.PROTECTION


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Slow:
    """A device on the other end of a cable: counts calls and remembers the threads they came from."""

    name = "slow"
    inline = False
    broken = False

    def __init__(self, device):
        self._device = device
        self.calls = 0
        self.threads = set()

    def __getattr__(self, name):
        return getattr(self._device, name)

    def encrypt_blocks(self, usage, version, blocks):
        if self.broken:
            raise DeviceUnavailable(device=self.name)
        self.calls += 1
        self.threads.add(threading.get_ident())
        return self._device.encrypt_blocks(usage, version, blocks)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vault(device, clock):
    return Vault(device, issuer="610000", clock=clock)


async def test_vuid_comes_with_its_version_and_gives_the_certificate_back(vault, device):
    vuid, version = await vault.vuid(MPI, "01", ID)
    assert version == 1
    device.rotate(KeyUsage.SECURITY)
    newer, newer_version = await vault.vuid(MPI, "01", ID)
    assert (newer_version, newer != vuid) == (2, True)
    assert await vault.recover_certificate(MPI, vuid, 1) == ("01", ID)
    assert await vault.vuids([(MPI, "01", ID)] * 2) == ([newer, newer], 2)


async def test_code_keys_follow_the_live_versions_at_once(vault, device):
    names = ["A" * 64, "B" * 64]
    before = await vault.valid_keys(names)
    assert list(before) == [1]
    device.rotate(PROTECTION)
    both = await vault.valid_keys(names)
    assert list(both) == [2, 1]
    assert both[1] == before[1]
    device.switch_off(PROTECTION, 1)
    assert list(await vault.valid_keys(names)) == [2]


async def test_sealer_opens_what_older_versions_sealed(vault, device, clock):
    old = (await vault.sealer()).seal(b"text", b"row")
    device.rotate(PROTECTION)
    device.switch_off(PROTECTION, 1)
    clock.now += 5
    sealer = await vault.sealer()
    assert sealer.unseal(old, b"row") == b"text"
    assert sealer.seal(b"text", b"row")[1] == 2
    device.destroy(PROTECTION, 1)
    clock.now += 5
    with pytest.raises(SealBroken):
        (await vault.sealer()).unseal(old, b"row")


async def test_purposes_do_not_share_keys(vault):
    blob = (await vault.sealer()).seal(b"text", b"row")
    with pytest.raises(SealBroken):
        (await vault.sealer("caller-secrets")).unseal(blob, b"row")


async def test_blinds_references_and_audit_key_outlive_rotations(vault, device):
    async def facts():
        blind = (await vault.blinder()).id_blind("01", ID)
        return blind, await vault.mpi_ref("c1", MPI), await vault.audit_key()

    before = await facts()
    device.rotate(PROTECTION)
    device.switch_off(PROTECTION, 1)
    vault.forget()
    assert await facts() == before
    device.destroy(PROTECTION, 1)
    vault.forget()
    with pytest.raises(KeyNotFound):
        await vault.blinder()


async def test_references_differ_by_caller_and_lead_back(vault):
    one, other = await vault.mpi_ref("c1", MPI), await vault.mpi_ref("c2", MPI)
    assert one != other
    assert len(one) == 32
    assert await vault.mpi_from_ref("c1", one) == MPI
    assert await vault.mpi_from_ref("c2", one) != MPI
    with pytest.raises(ReferenceInvalid):
        await vault.mpi_from_ref("c1", "x")


async def test_audit_key_has_32_bytes_of_its_own(vault, device):
    key = await vault.audit_key()
    assert len(key) == 32
    assert key[:16] != key[16:]


async def test_derived_keys_are_kept_for_seconds_only(device, clock):
    slow = Slow(device)
    vault = Vault(slow, issuer="610000", clock=clock)
    for _ in range(3):
        await vault.blinder()
        await vault.mpi_ref("c1", MPI)
    assert slow.calls == 2
    clock.now += 4.9
    await vault.blinder()
    assert slow.calls == 2
    clock.now += 0.1
    await vault.blinder()
    assert slow.calls == 3
    assert set(vault._cache) == {"blinder"}  # what has expired leaves the memory


async def test_devices_that_take_time_do_not_stop_the_loop(device):
    slow = Slow(device)
    vault = Vault(slow, issuer="610000")
    await vault.vuid(MPI, "01", ID)
    await vault.valid_keys(["A" * 64])
    await vault.sealer()
    assert threading.get_ident() not in slow.threads
    assert await vault.valid_keys(["A" * 64]) == await Vault(device, issuer="610000").valid_keys(["A" * 64])


async def test_device_that_is_down_verifies_nothing(device):
    slow = Slow(device)
    slow.broken = True
    vault = Vault(slow, issuer="610000")
    for call in (vault.valid_keys(["A" * 64]), vault.vuid(MPI, "01", ID), vault.sealer(), vault.audit_key()):
        with pytest.raises(DeviceUnavailable):
            await call


async def test_empty_device_says_so(tmp_path):
    vault = Vault(SoftDevice.create(tmp_path / "empty", "p"), issuer="610000")
    for call in (vault.valid_keys(["A" * 64]), vault.vuid(MPI, "01", ID), vault.sealer()):
        with pytest.raises(KeyNotFound):
            await call
