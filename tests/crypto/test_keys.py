"""Derivations against tests/vectors/codes.json, whose values are recomputed here by gmalg alone."""

import gmalg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yimatong.crypto import keys
from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.errors import (
    CertificateNotRecoverable,
    KeyDisabled,
    KeyNotFound,
    ReferenceInvalid,
    VuidNotOurs,
)
from yimatong.crypto.keys import Holder

MPI = bytes.fromhex("0123456789abcdef0123456789abcdef")
OTHER_MPI = bytes.fromhex("fedcba9876543210fedcba9876543210")
ID = "11010519491231002X"
in_one_device = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _sm3(data):
    state = gmalg.SM3()
    state.update(data)
    return state.value()


def _ecb(key, data):
    cipher = gmalg.SM4(key)
    return b"".join(cipher.encrypt(data[i : i + 16]) for i in range(0, len(data), 16))


@pytest.fixture
def codes(vectors):
    return vectors("codes.json")


@pytest.fixture
def security(codes):
    return bytes.fromhex(codes["security_key"])


@pytest.fixture
def protection(codes):
    return bytes.fromhex(codes["protection_key"])


def test_vuids_are_those_of_the_vectors(device, codes, security):
    for row in codes["vuid"]:
        mpi, number = bytes.fromhex(row["mpi"]), row["id_number"].upper()
        short = number.isascii() and len(number) <= 30
        field = number.encode().ljust(30, b"\0") if short else _sm3(number.encode())[:30]
        assert _ecb(_ecb(security, mpi), row["id_type"].encode() + field).hex().upper() == row["vuid"]
        assert keys.vuid(device, 1, mpi, row["id_type"], row["id_number"]) == row["vuid"]


def test_code_keys_are_those_of_the_vectors(device, codes, protection):
    for row in codes["k_vuid"]:
        block = _sm3(b"YMT-VALID-1" + row["issuer"].encode() + row["vuid"].encode())[:16]
        assert _ecb(protection, block).hex() == row["key"]
        assert keys.valid_keys(device, 1, row["issuer"], [row["vuid"]])[0].hex() == row["key"]


def test_data_keys_are_those_of_the_vectors(device, codes, protection):
    for row in codes["data_key"]:
        block = _sm3(b"YMT-DATA-1" + row["label"].encode())[: row["size"]]
        assert _ecb(protection, block).hex() == row["key"]
        assert keys.data_key(device, row["label"], 1, size=row["size"]).hex() == row["key"]


def test_references_are_those_of_the_vectors(device, codes, protection):
    for row in codes["mpi_ref"]:
        key = _ecb(protection, _sm3(b"YMT-DATA-1mpi-ref:" + row["caller_id"].encode())[:16])
        assert _ecb(key, bytes.fromhex(row["mpi"])).hex() == row["ref"]
        ours = keys.mpi_ref_key(device, 1, row["caller_id"])
        assert keys.mpi_ref(ours, bytes.fromhex(row["mpi"])) == row["ref"]
        assert keys.mpi_from_ref(ours, row["ref"].upper()).hex() == row["mpi"]


def test_many_vuids_are_the_single_ones_in_order(device):
    holders = [Holder(MPI, "01", ID), Holder(OTHER_MPI, "01", ID), Holder(MPI, "03", "E12345678")]
    assert keys.vuids(device, 1, holders) == [keys.vuid(device, 1, *holder) for holder in holders]
    assert keys.vuids(device, 1, []) == []


def test_all_code_keys_come_in_one_device_call(device):
    class Counting:
        calls = 0

        def key_versions(self, usage):
            return device.key_versions(usage)

        def encrypt_blocks(self, usage, version, blocks):
            self.calls += 1
            return device.encrypt_blocks(usage, version, blocks)

    counting = Counting()
    names = [f"{n:064X}" for n in range(50)]
    made = keys.valid_keys(counting, 1, "610000", names)
    assert counting.calls == 1
    assert len(set(made)) == 50
    assert made[7] == keys.valid_keys(device, 1, "610000", [names[7]])[0]


def test_code_keys_differ_by_card_issuer_and_version(device):
    device.rotate(KeyUsage.PROTECTION)
    made = [
        keys.valid_keys(device, version, issuer, [vuid])[0]
        for version in (1, 2)
        for issuer in ("610000", "620000")
        for vuid in ("A" * 64, "B" * 64)
    ]
    assert len(set(made)) == len(made)


numbers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)


@in_one_device
@given(st.binary(min_size=16, max_size=16), st.from_regex(r"[0-9]{2}", fullmatch=True), numbers)
def test_certificate_is_recovered(device, mpi, id_type, number):
    made = keys.vuid(device, 1, mpi, id_type, number)
    assert len(made) == 64
    assert keys.recover_certificate(device, 1, mpi, made) == (id_type, number.upper())


def test_case_of_the_number_does_not_count(device):
    assert keys.vuid(device, 1, MPI, "01", ID.lower()) == keys.vuid(device, 1, MPI, "01", ID)


@pytest.mark.parametrize("number", ["9" * 31, "南字第01234567号", "tab\tinside"])
def test_numbers_that_do_not_fit_identify_but_are_not_recovered(device, number):
    made = keys.vuid(device, 1, MPI, "04", number)
    assert made == keys.vuid(device, 1, MPI, "04", number)
    assert made != keys.vuid(device, 1, MPI, "04", number + "0")
    with pytest.raises(CertificateNotRecoverable):
        keys.recover_certificate(device, 1, MPI, made)


def test_vuid_of_somebody_else_gives_nothing(device):
    made = keys.vuid(device, 1, MPI, "01", ID)
    device.rotate(KeyUsage.SECURITY)
    wrong = [(1, OTHER_MPI, made), (2, MPI, made), (1, MPI, made[:-1]), (1, MPI, made.lower()), (1, MPI, "0" * 64)]
    for version, mpi, vuid in wrong:
        with pytest.raises((VuidNotOurs, CertificateNotRecoverable)):
            keys.recover_certificate(device, version, mpi, vuid)


@pytest.mark.parametrize(
    ("mpi", "id_type", "number"),
    [(MPI[:15], "01", ID), (MPI, "1", ID), (MPI, "ab", ID), (MPI, "٠١", ID), (MPI, "01", "")],
)
def test_malformed_holders_are_a_programming_error(device, mpi, id_type, number):
    with pytest.raises(ValueError, match=r"mpi|number"):
        keys.vuid(device, 1, mpi, id_type, number)


def test_switched_off_version_makes_nothing_but_still_opens(device):
    vuid = keys.vuid(device, 1, MPI, "01", ID)
    sealing = keys.data_key(device, "seal:personal", 1)
    for usage in KeyUsage:
        device.rotate(usage)
        device.switch_off(usage, 1)
    with pytest.raises(KeyDisabled):
        keys.vuid(device, 1, MPI, "01", ID)
    with pytest.raises(KeyDisabled):
        keys.valid_keys(device, 1, "610000", [vuid])
    assert list(keys.live_valid_keys(device, "610000", [vuid])) == [2]
    assert keys.recover_certificate(device, 1, MPI, vuid).id_number == ID
    assert keys.data_key(device, "seal:personal", 1) == sealing


def test_destroyed_or_unknown_version_is_not_found(device):
    device.rotate(KeyUsage.PROTECTION)
    device.destroy(KeyUsage.PROTECTION, 1)
    for version in (1, 9):
        with pytest.raises(KeyNotFound):
            keys.valid_keys(device, version, "610000", ["A" * 64])
        with pytest.raises(KeyNotFound):
            keys.data_key(device, "x", version)


def test_at_most_two_live_versions_are_tried(device):
    for _ in range(3):
        device.rotate(KeyUsage.PROTECTION)
    assert list(keys.live_valid_keys(device, "610000", ["A" * 64])) == [4, 3]
    device.switch_off(KeyUsage.PROTECTION, 3)
    assert list(keys.live_valid_keys(device, "610000", ["A" * 64])) == [4, 2]


@pytest.mark.parametrize("ref", ["", "0" * 31, "0" * 33, "g" * 32, "０" * 32, "0" * 31 + "\n"])
def test_malformed_references_are_refused(ref):
    with pytest.raises(ReferenceInvalid):
        keys.mpi_from_ref(bytes(16), ref)


def test_data_keys_have_two_sizes(device):
    with pytest.raises(ValueError, match="16 or 32"):
        keys.data_key(device, "x", 1, size=24)
