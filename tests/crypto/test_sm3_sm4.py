import gmalg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from yimatong.crypto.errors import SealBroken, SignatureInvalid
from yimatong.crypto.gm import sm3, sm4


def _gmalg_sm3(data):
    state = gmalg.SM3()
    state.update(data)
    return state.value()


def test_sm3_gives_the_published_digests(vectors):
    for vector in vectors("sm3.json")["vectors"]:
        assert sm3.sm3(vector["text"].encode()).hex() == vector["digest"]


@given(st.binary(max_size=200))
def test_sm3_agrees_with_another_implementation(data):
    assert sm3.sm3(data) == _gmalg_sm3(data)


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=100))
def test_hmac_is_the_construction_of_rfc_2104(key, data):
    padded = (key if len(key) <= 64 else _gmalg_sm3(key)).ljust(64, b"\0")
    inner = _gmalg_sm3(bytes(byte ^ 0x36 for byte in padded) + data)
    expected = _gmalg_sm3(bytes(byte ^ 0x5C for byte in padded) + inner)
    assert sm3.hmac_sm3(key, data) == expected


def test_hmac_keyed_once_serves_many_messages():
    mac = sm3.HmacSm3(b"key")
    assert mac.digest(b"a") == sm3.hmac_sm3(b"key", b"a")
    assert mac.digest(b"b") == sm3.hmac_sm3(b"key", b"b")
    assert mac.digest(b"a") == sm3.hmac_sm3(b"key", b"a")


def test_hmac_verification_raises():
    mac = sm3.HmacSm3(b"key")
    mac.verify(b"message", mac.digest(b"message"))
    for wrong in (mac.digest(b"messagf"), b"", mac.digest(b"message")[:16]):
        with pytest.raises(SignatureInvalid):
            mac.verify(b"message", wrong)


def test_sm4_gives_the_published_block(vectors):
    vector = {name: bytes.fromhex(value) for name, value in vectors("sm4.json")["ecb"].items()}
    assert sm4.encrypt_blocks(vector["key"], vector["plain"]) == vector["cipher"]
    assert sm4.decrypt_blocks(vector["key"], vector["cipher"]) == vector["plain"]
    assert sm4.encrypt_blocks(vector["key"], vector["plain"] * 3) == vector["cipher"] * 3


def test_sm4_gives_the_published_block_after_a_million_rounds(vectors):
    vector = {name: bytes.fromhex(value) for name, value in vectors("sm4.json")["ecb"].items()}
    encryptor = Cipher(SM4(vector["key"]), ECB()).encryptor()
    block = vector["plain"]
    for _ in range(1_000_000):
        block = encryptor.update(block)
    assert block == vector["cipher_after_1000000"]


@pytest.mark.parametrize("size", [1, 15, 17, 31])
def test_sm4_refuses_part_blocks(size):
    with pytest.raises(ValueError, match="block length"):
        sm4.encrypt_blocks(bytes(16), bytes(size))


def test_gcm_gives_the_published_ciphertext_and_tag(vectors):
    vector = {name: bytes.fromhex(value) for name, value in vectors("sm4.json")["gcm"].items()}
    gcm = sm4.Gcm(vector["key"])
    sealed = gcm.seal(vector["iv"], vector["plain"], vector["aad"])
    assert sealed == vector["cipher"] + vector["tag"]
    assert gcm.unseal(vector["iv"], sealed, vector["aad"]) == vector["plain"]


def test_gcm_refuses_a_text_shorter_than_a_tag():
    with pytest.raises(SealBroken):
        sm4.Gcm(bytes(16)).unseal(bytes(12), bytes(15), b"")


def test_key_check_value_is_the_head_of_an_encrypted_zero_block():
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert sm4.key_check_value(key) == gmalg.SM4(key).encrypt(bytes(16))[:3].hex().upper()
