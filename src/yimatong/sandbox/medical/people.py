"""Who is insured, and by what she shows it: people, credential tokens, settlement codes."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from yimatong.crypto.gm.sm3 import sm3
from yimatong.sandbox.medical.rows import Credential, Division, InsuranceError, Person
from yimatong.sandbox.store import Store, Table

NOBODY = InsuranceError(code="2101", message="未查询到参保信息")


class People:
    """The insured and their credentials. Whoever is asked about and does not carry 假 in the name is insured."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.rows: Table[Person] = store.table("insurance.people", Person)
        self.credentials: Table[Credential] = store.table("insurance.credentials", Credential)

    def enrol(self, person: Person) -> Person:
        """Enrol a person, or change what is known of her."""
        made = replace(person, psn_no=person.psn_no or _psn_no(person.id_number))
        self.rows.put(made.id_number, made)
        return made

    def find(self, id_number: str, name: str, id_type: str = "01") -> Person:
        """Return an insured person by certificate. Raises ``InsuranceError``."""
        known = self.rows.get(id_number)
        if known is None:
            if not id_number or not name or "假" in name:
                raise NOBODY
            known = self.enrol(Person(id_number=id_number, name=name, id_type=id_type))
        if known.name != name or not known.enrolled:
            raise NOBODY
        return known

    def numbered(self, psn_no: str) -> Person:
        """Return an insured person by the insurance's own number. Raises ``InsuranceError``."""
        found = next((each for each in self.rows if each.psn_no == psn_no), None)
        if found is None or not found.enrolled:
            raise NOBODY
        return found

    def by_number(self, id_number: str) -> Person:
        """Return a known person. Raises ``InsuranceError``."""
        found = self.rows.get(id_number)
        if found is None or not found.enrolled:
            raise NOBODY
        return found

    def issue(
        self, person: Person, kind: Literal["ecToken", "payAuthNo", "setlCode"], *, now: datetime, minutes: int
    ) -> Credential:
        """Give a person a fresh token or code."""
        value = f"{secrets.randbelow(10**28):028d}" if kind == "setlCode" else secrets.token_hex(16)
        made = Credential(
            value=value, kind=kind, id_number=person.id_number, expires_at=now + timedelta(minutes=minutes)
        )
        self.credentials.put(value, made)
        return made

    def holder(self, value: str, kind: str, *, now: datetime) -> Person:
        """Return whose token or code it is. Raises ``InsuranceError``."""
        shown = self.credentials.get(value)
        if shown is None or shown.kind != kind:
            raise InsuranceError(code="3101", message="医保凭证无效")
        if shown.expires_at < now:
            raise InsuranceError(code="3102", message="医保凭证已过期")
        return self.by_number(shown.id_number)

    def take(self, person: Person, division: Division) -> None:
        """Let a settlement use up the account and the deductible."""
        self._move(person, -division.account_fen, -division.deductible_fen)

    def give_back(self, person: Person, *, account_fen: int, deductible_fen: int) -> None:
        """Return what a settlement had used up."""
        self._move(person, account_fen, deductible_fen)

    def _move(self, person: Person, account_fen: int, deductible_fen: int) -> None:
        now = self.rows.get(person.id_number) or person
        moved = replace(
            now,
            balance_fen=now.balance_fen + account_fen,
            deductible_fen=now.deductible_fen + deductible_fen,
        )
        if moved.balance_fen < 0:
            raise InsuranceError(code="2301", message="个人账户余额不足")
        self.rows.put(moved.id_number, moved)


def _psn_no(id_number: str) -> str:
    return f"61{int.from_bytes(sm3(id_number.encode())[:8], 'big') % 10**26:026d}"
