import ctypes
from concurrent.futures import ThreadPoolExecutor

import gmalg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2, sm2_libcrypto, sm2_python

ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


def _engines():
    places = list(dict.fromkeys(sm2_libcrypto._places()))
    found = [pytest.param(lambda p=place: sm2_libcrypto.LibcryptoEngine(ctypes.CDLL(p)), id=place) for place in places]
    return [*found, pytest.param(sm2_python.PythonEngine, id="gmalg")]


@pytest.fixture(params=_engines())
def engine(request):
    return request.param()


@pytest.fixture
def example(vectors):
    vector = vectors("sm2.json")
    return {
        name: vector[name].encode() if name in {"message", "signer_id", "plain"} else bytes.fromhex(vector[name])
        for name in vector
        if name != "source"
    }


def test_published_signature_verifies(engine, example):
    args = (example["public"], example["message"], example["signature"], example["signer_id"])
    assert engine.is_valid(*args)
    assert engine.public_key(example["private"]) == example["public"]


def test_oracle_makes_the_published_signature_from_the_published_k(example):
    signer = gmalg.SM2(example["private"], example["signer_id"], rnd_fn=lambda _: int.from_bytes(example["k"], "big"))
    r, s = signer.sign(example["message"])
    assert r + s == example["signature"]


def test_engines_accept_each_other(engine):
    oracle = sm2_python.PythonEngine()
    private = engine.generate()
    public = engine.public_key(private)
    assert public == oracle.public_key(private)
    assert len(private) == 32
    assert len(public) == 65
    assert oracle.is_valid(public, b"text", engine.sign(private, b"text", b"somebody"), b"somebody")
    assert engine.is_valid(public, b"text", oracle.sign(private, b"text", b"somebody"), b"somebody")


def test_every_kind_of_wrong_signature_is_refused(engine, example, monkeypatch):
    monkeypatch.setattr(sm2, "engine", lambda: engine)
    public, message, good = example["public"], example["message"], example["signature"]
    sm2.verify(public, message, good)
    wrong = [
        (public, message + b".", good),
        (public, message, bytes([good[0] ^ 1]) + good[1:]),
        (public, message, good[32:] + good[:32]),
        (public, message, bytes(64)),
        (public, message, good[:32] + bytes(32)),
        (public, message, good[:32] + ORDER.to_bytes(32, "big")),
        (public, message, b"\xff" * 64),
        (public, message, good[:63]),
        (public, message, good + b"\0"),
        (public, message, b""),
        (engine.public_key((7).to_bytes(32, "big")), message, good),
        (public[:64] + bytes([public[64] ^ 1]), message, good),
        (b"\x02" + public[1:], message, good),
        (b"\x04" + bytes(64), message, good),
        (public[:33], message, good),
    ]
    for case in wrong:
        with pytest.raises(SignatureInvalid):
            sm2.verify(*case)
    with pytest.raises(SignatureInvalid):
        sm2.verify(public, message, good, signer_id=b"8765432187654321")


@pytest.mark.parametrize("number", [0, ORDER - 1, ORDER, 2**256 - 1])
def test_private_keys_out_of_range_are_refused(engine, number):
    private = number.to_bytes(32, "big")
    with pytest.raises(ValueError, match="range"):
        engine.sign(private, b"text", sm2.DEFAULT_ID)
    with pytest.raises(ValueError, match="range"):
        engine.public_key(private)


def test_private_keys_of_another_length_are_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        sm2.sign(bytes(31), b"text")
    with pytest.raises(ValueError, match="32 bytes"):
        sm2.public_key(bytes(33))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.integers(1, ORDER - 2))
def test_what_is_signed_verifies(message, number):
    private = number.to_bytes(32, "big")
    sm2.verify(sm2.public_key(private), message, sm2.sign(private, message))


def test_keys_are_shared_between_threads():
    private, public = sm2.generate_keypair()

    def work(number):
        message = b"%d" % number
        sm2.verify(public, message, sm2.sign(private, message))
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(400))) == sum(range(400))


@given(st.integers(1, ORDER - 1), st.integers(1, ORDER - 1))
def test_der_and_raw_forms_of_a_signature_are_the_same(r, s):
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert sm2_libcrypto._raw_from_der(sm2_libcrypto._der_from_raw(raw)) == raw


def test_engine_that_is_not_there_is_passed_over(monkeypatch):
    monkeypatch.setattr(sm2_libcrypto, "_places", lambda: iter(["/nowhere/libcrypto.so", "libc.so.6"]))
    assert sm2_libcrypto.find() is None


def test_published_digest_is_what_a_device_signs(engine, example):
    digest = sm2.digest(example["public"], example["message"], signer_id=example["signer_id"])
    assert digest == example["digest"]
    signature = engine.sign_digest(example["private"], digest)
    assert sm2_python.PythonEngine().is_valid(example["public"], example["message"], signature, example["signer_id"])


def test_published_ciphertext_opens_and_is_made_from_the_published_k(example):
    assert sm2.decrypt(example["private"], example["cipher"]) == example["plain"]
    fixed = gmalg.SM2(pk=example["public"], rnd_fn=lambda _: int.from_bytes(example["k"], "big"))
    assert fixed.encrypt(example["plain"]) == example["cipher"]
    sealed = sm2.encrypt(example["public"], example["plain"])
    assert len(sealed) == len(example["plain"]) + sm2.OVERHEAD
    assert sm2.decrypt(example["private"], sealed) == example["plain"]


def test_altered_ciphertexts_are_refused(example):
    good = example["cipher"]
    for bad in (good[:97], good[:-1], b"\x02" + good[1:], good[:70] + bytes([good[70] ^ 1]) + good[71:], b""):
        with pytest.raises(ValueError, match=r"point|shorter|altered"):
            sm2.decrypt(example["private"], bad)
    with pytest.raises(ValueError, match="point"):
        sm2.encrypt(bytes(65), b"x")
