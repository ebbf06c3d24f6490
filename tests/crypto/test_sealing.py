import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.crypto.errors import SealBroken
from yimatong.crypto.sealing import OVERHEAD, Sealer

KEYS = {1: bytes(16), 2: bytes(range(16)), 3: bytes(range(16, 32))}
AAD = b"empi.persons:0123"


@given(st.binary(max_size=500), st.binary(max_size=50))
def test_what_is_sealed_opens(plain, aad):
    sealer = Sealer(KEYS, 2)
    blob = sealer.seal(plain, aad)
    assert sealer.unseal(blob, aad) == plain
    assert len(blob) == len(plain) + OVERHEAD
    assert blob[:2] == b"\x01\x02"


def test_blob_made_by_another_implementation_opens(vectors):
    row = vectors("codes.json")["sealed"]
    sealer = Sealer({row["version"]: bytes.fromhex(row["key"])}, row["version"])
    assert sealer.unseal(bytes.fromhex(row["blob"]), row["aad"].encode()) == row["plain"].encode()


def test_every_flipped_bit_is_refused():
    sealer = Sealer(KEYS, 1)
    blob = sealer.seal("张三丰".encode(), AAD)
    for bit in range(len(blob) * 8):
        altered = bytearray(blob)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            sealer.unseal(bytes(altered), AAD)


def test_every_cut_and_extension_is_refused():
    sealer = Sealer(KEYS, 1)
    blob = sealer.seal(b"text", AAD)
    for other in (*(blob[:size] for size in range(len(blob))), blob + b"\0", b"\0" + blob):
        with pytest.raises(SealBroken):
            sealer.unseal(other, AAD)


def test_blob_moved_to_another_row_is_refused():
    sealer = Sealer(KEYS, 1)
    with pytest.raises(SealBroken):
        sealer.unseal(sealer.seal(b"text", AAD), b"empi.persons:0124")


def test_older_versions_open_and_are_told_apart():
    old = Sealer(KEYS, 1).seal(b"text", AAD)
    new = Sealer(KEYS, 3)
    assert new.unseal(old, AAD) == b"text"
    assert not new.is_current(old)
    assert new.is_current(new.seal(b"text", AAD))


def test_version_that_is_gone_is_refused():
    old = Sealer(KEYS, 1).seal(b"text", AAD)
    with pytest.raises(SealBroken):
        Sealer({2: KEYS[2]}, 2).unseal(old, AAD)


def test_the_same_text_never_seals_the_same():
    sealer = Sealer(KEYS, 1)
    assert len({sealer.seal(b"text", AAD) for _ in range(1000)}) == 1000
