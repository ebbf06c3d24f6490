import gmalg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.crypto.tokens import Blinder, comparable_id
from yimatong.standards.errors import NameInvalid, PhoneInvalid

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def blinder():
    return Blinder(KEY)


def _sm3(data):
    state = gmalg.SM3()
    state.update(data)
    return state.value()


def _oracle(text):
    """HMAC by RFC 2104 over another implementation of SM3."""
    padded = KEY.ljust(64, b"\0")
    inner = _sm3(bytes(byte ^ 0x36 for byte in padded) + text.encode())
    return _sm3(bytes(byte ^ 0x5C for byte in padded) + inner)


def _signed(digest):
    return int.from_bytes(digest[:8], "big", signed=True)


def test_tokens_are_truncated_hmac_with_a_label(blinder):
    assert blinder.id_blind("01", "11010519491231002x") == _oracle("id-blind\x0001\x0011010519491231002X")[:16]
    assert blinder.id_token("01", "11010519491231002X") == _signed(_oracle("id\x0001\x0011010519491231002X"))
    assert blinder.name_token(" 张三 ") == _signed(_oracle("name\0张三"))
    assert blinder.character_tokens("张三") == [_signed(_oracle("character\0张")), _signed(_oracle("character\0三"))]
    assert blinder.bigram_tokens("张三丰") == [_signed(_oracle("bigram\0张三")), _signed(_oracle("bigram\0三丰"))]
    assert blinder.phone_token("+86 138-0013-8000") == _signed(_oracle("phone\x0013800138000"))
    assert blinder.phone_tail_token("13800138000") == _signed(_oracle("phone-tail\x008000"))


def test_tokens_are_those_of_the_vectors(vectors):
    row = vectors("codes.json")["blind"]
    blinder = Blinder(bytes.fromhex(row["key"]))
    assert blinder.id_blind(row["id_type"], row["id_number"]).hex() == row["id_blind"]
    assert blinder.name_token(row["name"]) == row["name_token"]


def test_both_generations_of_an_identity_number_blind_to_the_same(blinder):
    assert blinder.id_blind("01", "110105491231002") == blinder.id_blind("01", "１１０１０５１９４９１２３１００２ｘ")
    assert blinder.id_token("01", "110105491231002") == blinder.id_token("01", " 110105 19491231 002X ")
    assert blinder.id_blind("03", "110105491231002") != blinder.id_blind("03", "11010519491231002X")


def test_type_and_number_do_not_run_together(blinder):
    assert blinder.id_blind("01", "12345") != blinder.id_blind("03", "12345")
    assert comparable_id("03", "e 123") == "E123"


def test_kinds_of_tokens_do_not_meet(blinder):
    assert blinder.name_token("张") not in blinder.character_tokens("张")
    assert blinder.character_tokens("张三") != blinder.bigram_tokens("张三")
    assert blinder.phone_token("13800138000") != blinder.id_token("", "13800138000")


def test_the_written_form_of_a_name_does_not_count(blinder):
    assert blinder.name_token("阿依古丽•买买提") == blinder.name_token("阿依古丽·买买提")
    assert blinder.name_token("JOHN  Smith") == blinder.name_token("John smith")
    assert blinder.bigram_tokens("张") == []


def test_tail_alone_finds_the_phone(blinder):
    assert blinder.phone_tail_token("8000") == blinder.phone_tail_token("138 0013 8000")


def test_what_is_no_name_or_phone_is_refused(blinder):
    with pytest.raises(NameInvalid):
        blinder.name_token("张3")
    with pytest.raises(PhoneInvalid):
        blinder.phone_token("none")
    with pytest.raises(PhoneInvalid):
        blinder.phone_tail_token("800x")


@given(st.text(max_size=40))
def test_any_certificate_number_has_a_blind_and_a_64_bit_token(number):
    blinder = Blinder(KEY)
    assert len(blinder.id_blind("99", number)) == 16
    assert -(2**63) <= blinder.id_token("99", number) < 2**63


def test_another_key_gives_other_blinds(blinder):
    assert blinder.id_blind("01", "1") != Blinder(bytes(32)).id_blind("01", "1")
