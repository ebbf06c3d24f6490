"""HTTP of registration by information providers."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.access.shared import SharedWrite
from yimatong.empi.errors import (
    BirthDateImpossible,
    CertificateTypeUnknown,
    DomainNotYours,
    DomainSuspended,
    DomainUnknown,
    NumberCheckDigit,
    NumberInvalid,
    NumberTaken,
    PersonCancelled,
    PersonDeceased,
    PersonDisagrees,
    ProofNotAttestable,
    RegistrationOverlapped,
)
from yimatong.empi.registration.schemas import PersonToRegister, RegisteredPerson
from yimatong.empi.registration.service import Provider, ToRegister, checked
from yimatong.kit.db import Batch


@post(
    "/api/v1/persons",
    permission="persons:register",
    responses=documented(
        RegisteredPerson,
        BirthDateImpossible,
        CertificateTypeUnknown,
        ProofNotAttestable,
        DomainUnknown,
        DomainSuspended,
        DomainNotYours,
        NumberInvalid,
        NumberCheckDigit,
        NumberTaken,
        PersonDisagrees,
        PersonDeceased,
        PersonCancelled,
        RegistrationOverlapped,
    ),
)
async def register_person(
    data: JSONBody[PersonToRegister],
    call: NamedDependency[Call],
    person_registrations: NamedDependency[Batch[SharedWrite[ToRegister], tuple[int, bytes]]],
) -> Response[bytes]:
    """Register a resident, or update a record: the same source number again is the same record."""
    record = checked(data, Provider.of(call.caller), now=call.now)
    refer = await call.vault.referrer(call.caller.institution_id or call.caller.caller_id)
    return await call.write_shared(person_registrations, ToRegister(record=record, refer=refer))


ROUTES = [register_person]
