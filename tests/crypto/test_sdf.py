"""The driver of GM/T 0018 machines over the tests' own library: codes, structures, sessions, losses, fail-over."""

import ctypes
import ctypes.util
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_ubyte, c_uint32, c_void_p

import msgspec
import pytest
import sdf_machines

from yimatong.crypto.devices import choice, sdf_abi
from yimatong.crypto.devices.base import Component, KeyUsage
from yimatong.crypto.devices.sdf import SdfDevice
from yimatong.crypto.errors import (
    DemonstrationKeysInProduction,
    DeviceUnavailable,
    KeyNotFound,
    KeystoreUnreadable,
)
from yimatong.crypto.errors.sdf import (
    SdfAnswerWrong,
    SdfKeyDiffers,
    SdfLibraryUnusable,
    SdfSessionsBusy,
    SdfSigningPairMissing,
)
from yimatong.crypto.errors.sdf_codes import BY_CODE, Kind, SdfAccessRightRefused, SdfKeyMissing, SdfVendorError
from yimatong.crypto.gm import sm2, sm4
from yimatong.kit.errors import Unavailable, catalogue
from yimatong.kit.settings import Settings

SECURITY, PROTECTION, SIGNING = KeyUsage
BLOCKS = bytes(range(64))
WAIT_S = 10


@pytest.fixture
def world(tmp_path):
    """Makes machines and devices; at the end closes them and looks whether a rule of the standard was broken."""
    made = World(tmp_path)
    yield made
    for device in made.devices:
        device.close()
    if made.strict:
        assert [breach for each in made.machines for breach in each.breaches] == []


class World:
    def __init__(self, folder):
        self.folder, self.machines, self.devices, self.strict = folder, [], [], True

    def machine(self, name="one", **settings):
        self.machines.append(sdf_machines.machine(self.folder, name, **settings))
        return self.machines[-1]

    def device(self, *machines, keys=True):
        device = SdfDevice.create(self.folder / "book.json", "pass", [each.settings for each in machines])
        self.devices.append(device)
        for usage in (SECURITY, PROTECTION) if keys else ():
            device.generate(usage)
        return device

    def reopen(self, *machines):
        self.devices.pop().close()
        device = SdfDevice.open(
            self.folder / "book.json", "pass", [each.settings for each in machines], production=True
        )
        self.devices.append(device)
        return device


def until(check, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_structures_are_those_of_the_standard():
    assert ctypes.sizeof(sdf_abi.DeviceInfo) == 100
    assert (ctypes.sizeof(sdf_abi.EccPublicKey), ctypes.sizeof(sdf_abi.EccSignature)) == (132, 128)
    offsets = {name: getattr(sdf_abi.EccCipher, name).offset for name in ("x", "y", "M", "L", "C")}
    assert offsets == {"x": 0, "y": 64, "M": 128, "L": 160, "C": 164}
    assert ctypes.sizeof(c_uint32) == 4
    point = sm2.generate_keypair()[1]
    public = sdf_abi.EccPublicKey.of(point)
    assert (public.bits, bytes(public.x)[:32], bytes(public.x)[32:]) == (256, bytes(32), point[1:33])
    assert public.point("d") == point
    cipher = bytes(range(112))
    made = sdf_abi.EccCipher.of(cipher)
    assert (made.L, bytes(made.M), bytes(made.C)[:16], made.raw("d")) == (16, cipher[64:96], cipher[96:], cipher)


@pytest.mark.parametrize("what", ["bits", "left-aligned", "L"])
def test_an_answer_against_the_standard_is_refused_by_name(what):
    public, cipher = sdf_abi.EccPublicKey.of(sm2.generate_keypair()[1]), sdf_abi.EccCipher.of(bytes(112))
    if what == "bits":
        public.bits = 512
    if what == "left-aligned":
        public.x = (c_ubyte * 64).from_buffer_copy(b"\x01" * 32 + bytes(32))
    cipher.L = 0x10000000  # 16 in the other byte order
    with pytest.raises(SdfAnswerWrong):
        cipher.raw("d") if what == "L" else public.point("d")


def test_every_return_code_of_both_editions_has_its_name_and_page():
    assert sorted(BY_CODE) == [0x01000000 + number for number in range(1, 0x20)]
    for sdr, error in BY_CODE.items():
        assert error.code == f"CRY-61{sdr & 0xFF:02d}"
        assert catalogue()[error.code] is error
        assert issubclass(error, Unavailable)
        assert error.retryable == (error.kind is Kind.LOST)
        assert "{function}" in error.zh


@pytest.mark.parametrize("sdr", [*range(0x01000001, 0x01000020), 0x01000100, 0xFFFFFFFF])
def test_whatever_the_library_returns_is_raised_as_that(world, sdr):
    machine = world.machine()
    library = sdf_abi.Library.load(machine.settings.library)
    machine.lose(sdr)
    with pytest.raises(BY_CODE.get(sdr, SdfVendorError)) as failed:
        library.call("SDF_GetDeviceInfo", c_void_p(1), ctypes.byref(sdf_abi.DeviceInfo()), device="one")
    assert "SDF_GetDeviceInfo" in str(failed.value)


def test_a_library_that_cannot_serve_is_named(world, tmp_path):
    missing = world.machine("missing")
    missing.library.unlink()
    text = world.machine("text")
    text.library.write_bytes(b"not a library")
    other = sdf_machines.Simulated(text.library, text.settings)
    libc = ctypes.util.find_library("c")
    for bad in (missing, text, other):
        with pytest.raises(SdfLibraryUnusable):
            SdfDevice.create(tmp_path / "b.json", "p", [bad.settings])
        (tmp_path / "b.json").unlink()
    with pytest.raises(SdfLibraryUnusable, match="SDF_OpenDevice"):
        sdf_abi.Library(sdf_machines.Path(libc), wait_s=1)
    one = world.machine("one")
    with pytest.raises(SdfLibraryUnusable, match="one library"):
        SdfDevice.create(tmp_path / "b.json", "p", [one.settings, one.settings])


@pytest.mark.parametrize("rule", ["any", "null", "given"])
def test_the_iv_that_ecb_does_not_have_is_given_as_the_library_wants_it(world, rule):
    machine = world.machine()
    machine.configure(f"ecb_iv {rule}")
    device = world.device(machine)
    cipher = device.encrypt_blocks(SECURITY, 1, BLOCKS * 300)  # more than one call
    assert cipher[:64] == cipher[64:128]  # every block by itself, whatever was left in the buffer of the IV
    assert device.decrypt_blocks(SECURITY, 1, cipher) == BLOCKS * 300


def test_signing_pairs_are_those_of_the_settings_and_no_more(world):
    device = world.device(world.machine(signing_indexes=(3,)))
    device.generate(SIGNING)
    with pytest.raises(SdfSigningPairMissing):
        device.generate(SIGNING)
    public = device.public_key(1)
    sm2.verify(public, b"m", device.sign(1, sm2.digest(public, b"m")))


def test_a_wrong_access_code_is_told_to_whoever_asks_for_keys(world):
    device = world.device(world.machine(pin="wrong-but-long"), keys=False)
    with pytest.raises(SdfAccessRightRefused):
        device.generate(SECURITY)
    device = world.reopen(world.machine("two", key_index=7))
    with pytest.raises(SdfKeyMissing):
        device.generate(SECURITY)
    with pytest.raises(KeyNotFound):
        device.encrypt_blocks(SECURITY, 1, BLOCKS)


def test_lost_and_back_without_a_restart(world):
    machine = world.machine()
    device = world.device(machine)
    before = device.encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.lose()
    for _ in range(3):
        with pytest.raises(DeviceUnavailable) as failed:
            device.encrypt_blocks(SECURITY, 1, BLOCKS)
        assert failed.value.retryable
    assert "SDR_COMMFAIL" in device.machines["one"]
    machine.bring_back()
    until(lambda: device.machines["one"] == "in")
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == before


def test_a_machine_that_is_away_at_the_start_comes_later(world):
    machine = world.machine()
    before = world.device(machine).encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.lose(0x01000005)
    device = world.reopen(machine)
    with pytest.raises(DeviceUnavailable):
        device.encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.bring_back()
    until(lambda: device.machines["one"] == "in")
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == before


def test_a_restart_that_nobody_saw_costs_nobody_an_answer(world):
    machine = world.machine()
    device = world.device(machine)
    before = device.encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.lose()
    with pytest.raises(Unavailable):
        device._machines[0].library.call("SDF_CloseSession", None, device="one")
    machine.bring_back()  # sessions and key handles of before are gone
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == before


@pytest.mark.parametrize("sdr", sorted(set(BY_CODE) | {0x0100FF01}))
def test_any_code_in_the_midst_of_work_is_overcome(world, sdr):
    """Vendors differ in what a lost device answers; nothing that went well before can be the request's fault."""
    machine = world.machine()
    device = world.device(machine)
    before = device.encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.lose(sdr)
    with pytest.raises(DeviceUnavailable):
        device.encrypt_blocks(SECURITY, 1, BLOCKS)
    machine.bring_back()
    until(lambda: device.machines["one"] == "in")
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == before


def test_the_next_machine_answers_when_one_is_lost(world):
    one, two = world.machine("one"), world.machine("two")
    device = world.device(one, two)
    before = device.encrypt_blocks(SECURITY, 1, BLOCKS)
    one.lose()
    assert [device.encrypt_blocks(SECURITY, 1, BLOCKS) for _ in range(5)] == [before] * 5
    made = device.generate(SECURITY)  # while one is away
    two.lose(0x01000004)
    with pytest.raises(DeviceUnavailable):
        device.encrypt_blocks(SECURITY, 1, BLOCKS)
    two.bring_back()
    until(lambda: device.machines["two"] == "in")
    new = device.encrypt_blocks(SECURITY, made.version, BLOCKS)
    one.bring_back()
    until(lambda: device.machines["one"] == "in")
    until(lambda: "one" in device._newest().keys[-1].value.decode())  # it was passed on
    two.lose()
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == before
    assert device.encrypt_blocks(SECURITY, made.version, BLOCKS) == new


def test_a_machine_that_is_added_gets_the_keys_from_those_that_have_them(world):
    one, two = world.machine("one"), world.machine("two")
    before = world.device(one).encrypt_blocks(PROTECTION, 1, BLOCKS)
    world.reopen(one, two)
    device = world.reopen(two)
    assert device.encrypt_blocks(PROTECTION, 1, BLOCKS) == before


def test_a_machine_with_another_key_is_not_used(world):
    one, two = world.machine("one", kek_index=1), world.machine("two", kek_index=1)
    device = world.device(one)
    place = device._newest().keys[0].value
    with device._change() as book:  # as if somebody had said that it is there too
        book.keys[0].value = place.replace(b'{"one":', b'{"two":')
    device = world.reopen(two)
    assert "in" not in device.machines.values()
    assert isinstance(device._machines[0].reason, SdfKeyDiffers)
    with pytest.raises(DeviceUnavailable):
        device.encrypt_blocks(SECURITY, 1, BLOCKS)


def test_signing_goes_on_with_the_machine_that_has_the_same_pair(world):
    one = world.machine("one")
    same, other = world.machine("same", like=one), world.machine("other")
    device = world.device(one, other, same)
    device.generate(SIGNING)
    public = device.public_key(1)
    one.lose()
    sm2.verify(public, b"m", device.sign(1, sm2.digest(public, b"m")))
    same.lose()
    with pytest.raises(DeviceUnavailable):  # never with the pair of another
        device.sign(1, bytes(32))


def test_sessions_are_bounded_and_waiting_is(world):
    device = world.device(world.machine(sessions=2, wait_s=0.2))
    entered, leave = threading.Barrier(3), threading.Event()

    def hold(_session):
        entered.wait(30)
        leave.wait(30)

    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(device._machines[0].use, hold, critical=True) for _ in range(2)]
        entered.wait(30)
        began = time.monotonic()
        with pytest.raises(SdfSessionsBusy) as failed:
            device.encrypt_blocks(SECURITY, 1, BLOCKS)
        assert 0.15 < time.monotonic() - began < 15
        assert failed.value.retryable
        leave.set()
        assert [each.result() for each in held] == [None, None]
    assert len(device.encrypt_blocks(SECURITY, 1, BLOCKS)) == 64


def test_a_device_with_fewer_sessions_than_the_settings_say_stays_in(world):
    machine = world.machine(sessions=8, wait_s=5)
    machine.configure("sessions 2", "handles 3")
    device = world.device(machine)
    busy = 0
    with ThreadPoolExecutor(6) as pool:
        for each in [pool.submit(device.encrypt_blocks, SECURITY, 1, BLOCKS) for _ in range(200)]:
            try:
                assert len(each.result()) == 64
            except SdfSessionsBusy:
                busy += 1
    assert busy < 20
    assert device.machines == {"one": "in"}


@pytest.mark.parametrize("serialised", [True, False])
def test_the_library_is_never_called_twice_at_once_unless_allowed(world, serialised):
    machine = world.machine(serialised=serialised)
    device = world.device(machine)
    world.strict = serialised
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: device.encrypt_blocks(SECURITY, 1, BLOCKS), range(400)))
    assert any("while another call runs" in breach for breach in machine.breaches) is not serialised


def test_under_load_a_loss_gives_right_answers_or_none(world):
    one, two = world.machine("one"), world.machine("two")
    device = world.device(one, two)
    expected = device.encrypt_blocks(SECURITY, 1, BLOCKS)
    stop, counts = threading.Event(), {"right": 0, "none": 0, "wrong": 0}

    def work():
        while not stop.is_set():
            try:
                counts["right" if device.encrypt_blocks(SECURITY, 1, BLOCKS) == expected else "wrong"] += 1
            except (DeviceUnavailable, SdfSessionsBusy):
                counts["none"] += 1
                time.sleep(0.001)

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(work) for _ in range(6)]
        for lost in ([one], [two], [one, two], [one], [two, one]):
            for each in lost:
                each.lose(after=3)
            time.sleep(0.3)
            for each in lost:
                each.bring_back()
            time.sleep(0.3)
        until(lambda: set(device.machines.values()) == {"in"})
        stop.set()
        for each in running:
            each.result()
    assert counts["wrong"] == 0
    assert counts["right"] > 100
    assert counts["none"] > 0


def test_the_book_holds_no_key_and_other_processes_see_a_destruction(world):
    machine = world.machine()
    device = world.device(machine, keys=False)
    key = bytes(range(16))
    parts = [bytes(15) + b"\x07", bytes(a ^ b for a, b in zip(key, bytes(15) + b"\x07", strict=True))]
    for number, value in enumerate(parts, 1):
        component = Component("c", number, 2, value, sm4.key_check_value(value), sm4.key_check_value(key))
        device.import_component(SECURITY, component)
    (entry,) = device._newest().keys
    assert key not in entry.value
    assert key.hex().encode() not in entry.value
    assert device.encrypt_blocks(SECURITY, 1, BLOCKS) == sm4.encrypt_blocks(key, BLOCKS)
    device.activate(SECURITY, device.generate(SECURITY).version)
    device.destroy(SECURITY, 1)
    assert device._newest().keys[0].value == b""
    assert device._machines[0]._idle == []  # no session keeps the handle


def test_a_forked_child_opens_the_device_for_itself(world, tmp_path):
    """In a process of its own: this one has threads. The library notes every handle that crosses a fork."""
    machine = world.machine()
    before = world.device(machine).encrypt_blocks(SECURITY, 1, BLOCKS)
    world.devices.pop().close()
    script = tmp_path / "fork.py"
    script.write_text(FORK.format(folder=tmp_path))
    machine_settings = msgspec.json.encode(machine.settings, enc_hook=str).decode()
    done = subprocess.run(
        [sys.executable, str(script), machine_settings], capture_output=True, text=True, timeout=60, check=False
    )
    answers = [line for line in done.stdout.splitlines() if " " not in line]  # the others are log lines
    assert answers == [before.hex(), before.hex()], done.stderr


def test_the_settings_choose_the_device_and_a_file_of_the_other_one_is_named(world, tmp_path):
    soft = Settings(
        data=tmp_path,
        database_url="",
        keystore=tmp_path / "keys.json",
        keystore_passphrase="pass",
        web_session_key="00" * 32,
    )
    sdf = msgspec.structs.replace(soft, device="sdf", crypto_machines=(world.machine().settings,))
    for wanted, other in ((sdf, soft), (soft, sdf)):
        choice.create_demonstration(wanted)
        device = choice.open_device(wanted)
        assert device.demonstration
        assert device.name == wanted.device
        assert [len(device.key_versions(usage)) for usage in KeyUsage] == [1, 1, 1]
        if isinstance(device, SdfDevice):
            device.close()
        with pytest.raises(KeystoreUnreadable):
            choice.open_device(other)
        with pytest.raises(DemonstrationKeysInProduction):
            choice.open_device(msgspec.structs.replace(wanted, mode="production"))
        soft.keystore.unlink()
    world.machines[0].lose()
    with pytest.raises(DeviceUnavailable):
        choice.create_demonstration(sdf)
    assert not soft.keystore.exists()
    world.machines[0].bring_back()


FORK = """
import os, sys
from pathlib import Path
import msgspec
from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.devices.sdf import SdfDevice
from yimatong.kit.settings import CryptoMachine

settings = msgspec.json.decode(sys.argv[1], type=CryptoMachine, dec_hook=lambda kind, value: Path(value))
device = SdfDevice.open(Path("{folder}") / "book.json", "pass", [settings], production=True)
child = os.fork()
print(device.encrypt_blocks(KeyUsage.SECURITY, 1, bytes(range(64))).hex(), flush=True)
if child:
    os.waitpid(child, 0)
os._exit(0)
"""
