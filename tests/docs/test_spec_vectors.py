"""Every vector that docs/spec prints is computed again: by gmalg alone, and by the product."""

import base64
import json
import re
import struct

import gmalg
import pytest

from yimatong.access import request_auth
from yimatong.cards import codec
from yimatong.cards.codes import offline
from yimatong.cards.errors import CodeNotGenuine
from yimatong.crypto import keys
from yimatong.crypto.devices.base import Component, KeyUsage
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm import sm4
from yimatong.payments.administration import keys as account_keys
from yimatong.payments.service_channels import keyring
from yimatong_sdk import AnswerNotGenuine, Signer
from yimatong_sdk import offline as sdk_offline

CODES, API, WEBHOOKS = "docs/spec/codes.md", "docs/spec/api.md", "docs/spec/webhooks.md"
SERVICES = "docs/spec/service-channels.md"


def sm3(data):
    state = gmalg.SM3()
    state.update(data)
    return state.value()


def ecb(key, data):
    cipher = gmalg.SM4(key)
    return b"".join(cipher.encrypt(data[i : i + 16]) for i in range(0, len(data), 16))


def hmac_sm3(key, data):
    """RFC 2104 over gmalg's SM3; keys here are never longer than a block."""
    padded = key.ljust(64, b"\0")
    inner = sm3(bytes(b ^ 0x36 for b in padded) + data)
    return sm3(bytes(b ^ 0x5C for b in padded) + inner).hex()


def read(texts):
    rows = (line for text in texts for line in text.splitlines())
    return dict(re.split(r" {2,}", row, maxsplit=1) for row in rows)


@pytest.fixture(scope="module")
def printed(blocks):
    return read(blocks(CODES, "vector"))


@pytest.fixture
def device(tmp_path, printed):
    made = SoftDevice.create(tmp_path / "keystore.json", "correct horse")
    for usage, name in ((KeyUsage.SECURITY, "security key"), (KeyUsage.PROTECTION, "protection key")):
        key = bytes.fromhex(printed[name])
        values = bytes([17]) * 16, bytes(b ^ 17 for b in key)
        kcv = sm4.key_check_value
        parts = [Component(name, part, 2, value, kcv(value), kcv(key)) for part, value in enumerate(values, 1)]
        made.import_components(usage, parts)
    return made


def test_vuid(printed, device):
    mpi = bytes.fromhex(printed["mpi"])
    user_key = ecb(bytes.fromhex(printed["security key"]), mpi)
    plain = printed["id_type"].encode() + printed["id_number"].encode().ljust(30, b"\0")
    assert printed["UK"] == user_key.hex()
    assert printed["plain"] == plain.hex()
    assert printed["VUID"] == ecb(user_key, plain).hex().upper()
    assert printed["VUID"] == keys.vuid(device, 1, mpi, printed["id_type"], printed["id_number"])


def test_code_key(printed, device):
    protection = bytes.fromhex(printed["protection key"])
    for vuid, name in (("VUID", "K_vuid"), ("other VUID", "other K_vuid")):
        text = b"YMT-VALID-1" + printed["issuer"].encode() + printed[vuid].encode()
        assert printed[name] == ecb(protection, sm3(text)[:16]).hex()
        assert printed[name] == keys.valid_keys(device, 1, printed["issuer"], [printed[vuid]])[0].hex()
        if vuid == "VUID":
            assert printed["diversifier"] == sm3(text)[:16].hex()


@pytest.mark.parametrize("code_class", list(codec.CodeClass))
def test_valid_of_each_class(printed, code_class):
    name, key = code_class.name.lower(), bytes.fromhex(printed["K_vuid"])
    nonce, issued_at, ttl_s = bytes.fromhex(printed["nonce"]), int(printed["issued_at"]), int(printed["ttl_s"])
    block = struct.pack(">BBIB", 1, code_class, issued_at, ttl_s // 5) + nonce + bytes(4)
    assert printed[name] == block.hex()
    assert printed[f"VALID {name}"] == ecb(key, block).hex().upper()
    valid = codec.Valid(code_class, issued_at, ttl_s, nonce)
    sealed = bytes.fromhex(printed[f"VALID {name}"])
    assert codec.seal_valid(key, valid) == sealed
    assert codec.open_valid(key, sealed) == valid


def test_pasted_code_opens_to_rubbish(printed):
    key, sealed = bytes.fromhex(printed["other K_vuid"]), bytes.fromhex(printed["VALID visit"])
    assert printed["opens to"] == gmalg.SM4(key).decrypt(sealed).hex()
    with pytest.raises(CodeNotGenuine):
        codec.open_valid(key, sealed)


def test_texts(printed):
    valid = bytes.fromhex(printed["VALID visit"])
    assert printed["static"] == codec.static_text(printed["VUID"])
    assert printed["dynamic visit"] == codec.dynamic_text(printed["VUID"], valid)
    assert codec.parse(printed["dynamic visit"]) == codec.CodeText(codec.CodeKind.DYNAMIC, printed["VUID"], valid)


def test_offline_token(printed):
    """SM2 draws a random number, so the printed signature is checked, by gmalg and by both of our readers."""
    vuid, sealed = printed["VUID"], bytes.fromhex(printed["VALID visit"])
    public, header = bytes.fromhex(printed["public key"]), bytes.fromhex(printed["header"])
    nonce, issued_at, ttl_s = bytes.fromhex(printed["nonce"]), int(printed["issued_at"]), int(printed["ttl_s"])
    assert header == struct.pack(">BBBBI", 1, int(printed["kid"]), 1, ttl_s // 5, issued_at) + nonce
    signature, signed = (
        bytes.fromhex(printed["signature"]),
        b"YMT-OFF-1" + printed["issuer"].encode() + vuid.encode() + sealed + header,
    )
    assert gmalg.SM2(pk=public, uid=b"1234567812345678").verify(signed, signature[:32], signature[32:])
    assert printed["TOKEN"] == "S." + base64.b32encode(header + signature).decode().rstrip("=")
    assert printed["offline"] == codec.dynamic_text(vuid, sealed, printed["TOKEN"])
    keys_of = {int(printed["kid"]): public}
    ours = offline.check(codec.parse(printed["offline"]), issuer=printed["issuer"], public_keys=keys_of)
    theirs = sdk_offline.check(printed["offline"], issuer=printed["issuer"], public_keys=keys_of)
    assert ours.valid == codec.Valid(codec.CodeClass.VISIT, issued_at, ttl_s, nonce)
    assert (theirs.vuid, theirs.issued_at, theirs.ttl_s, theirs.nonce) == (vuid, issued_at, ttl_s, nonce)


def test_printed_vectors_are_those_of_the_file(printed, text_of):
    known = json.loads(text_of("tests/vectors/codes.json"))
    assert {printed["VUID"], printed["other VUID"]} <= {row["vuid"] for row in known["vuid"]}
    assert printed["K_vuid"] in {row["key"] for row in known["k_vuid"]}


def test_accepted_forms(printed):
    vuid = printed["VUID"]
    static = codec.CodeText(codec.CodeKind.STATIC, vuid)
    for text in (vuid, f"{vuid}:1", f"{vuid}：1", f"{vuid.lower()}:1", f"85:{vuid}", f"85:{vuid}:1", f"{vuid}:1\r\n"):
        assert codec.parse(text) == static, text
    assert codec.parse(f"{vuid}:1::L0001").label == "L0001"
    assert codec.parse(vuid[:48]).vuid == vuid[:48]


@pytest.mark.parametrize("name", [API, WEBHOOKS, "docs/integrator.md"])
def test_worked_signatures(blocks, name):
    """The printed text to sign is the one that the parts make, and its signature is the printed one."""
    for facts in map(read, zip(blocks(name, "vector"), strict=True)):
        secret, nonce, timestamp = bytes.fromhex(facts["secret"]), facts["nonce"], int(facts["timestamp"])
        body = facts["body"].encode()
        if "status" in facts:
            status = int(facts["status"])
            text = request_auth.answer_text(status=status, timestamp=timestamp, nonce=nonce, body=body)
            headers = {"ymt-timestamp": facts["timestamp"], "ymt-signature": facts["signature"]}
            signer = Signer("any", facts["secret"])
            signer.check_answer(status, headers, body, nonce=nonce)
            with pytest.raises(AnswerNotGenuine):
                signer.check_answer(status, headers, body + b" ", nonce=nonce)
        else:
            bound = facts["bound"]
            text = request_auth.request_text(
                method=facts["method"], target=facts["target"], timestamp=timestamp, nonce=nonce, bound=bound, body=body
            )
            assert text.decode() == "\n".join([facts["method"], facts["target"], str(timestamp), nonce, bound, ""]) + (
                facts["body"] + "\n"
            )
        assert facts["signature"] == hmac_sm3(secret, text)
        assert facts["signature"] == request_auth.sign(secret, text)


def test_proof_of_an_order(blocks):
    (facts,) = map(read, zip(blocks(SERVICES, "vector"), strict=True))
    parts = [facts[name] for name in ("merchant_no", "terminal_no", "source_no", "amount_fen")]
    text = "".join(f"{part}\n" for part in parts).encode()
    assert facts["proof"] == hmac_sm3(bytes.fromhex(facts["key"]), text)
    merchant_no, terminal_no, source_no, amount_fen = parts
    made = keyring.proof_text(
        merchant_no=merchant_no, terminal_no=terminal_no, source_no=source_no, amount_fen=int(amount_fen)
    )
    assert facts["proof"] == keyring.proof(facts["key"], made)


def test_table_of_keys_that_change_over(text_of):
    table = text_of(SERVICES).split("| channel | replaced | kept as |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", table, re.MULTILINE)
    told = {
        channel: dict(zip(*(re.findall(r"`(\w+)`", cell) for cell in cells), strict=True)) for channel, *cells in rows
    }
    assert told == {channel: dict(pairs) for channel, pairs in account_keys.BEFORE.items()}


@pytest.mark.parametrize("name", [CODES, API, WEBHOOKS])
def test_no_long_hexadecimal_text_stands_outside_a_checked_block(text_of, name):
    outside = re.sub(r"^```vector\n.*?^```$", "", text_of(name), flags=re.MULTILINE | re.DOTALL)
    loose = set(re.findall(r"\b[0-9A-Fa-f]{32,}\b", outside))
    inside = set(re.findall(r"\b[0-9A-Fa-f]{32,}\b", text_of(name))) - loose
    assert inside
    assert not loose
