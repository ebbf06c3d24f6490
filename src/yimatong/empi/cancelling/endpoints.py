"""HTTP of cancelling persons. Restoring is for stewards, in the console."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.empi.cancelling import service
from yimatong.empi.cancelling.schemas import PersonCancellation, PersonToCancel
from yimatong.empi.cancelling.service import Wanted
from yimatong.empi.errors import BirthDateImpossible, CancelNotAllowed, CancelReasonIncomplete, PersonNotFound
from yimatong.kit.db import Connection

RefInPath = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}(?!\\n)$")]


@post(
    "/api/v1/persons/{mpi_ref:str}/cancel",
    permission="persons:cancel",
    responses=documented(
        PersonCancellation, PersonNotFound, CancelNotAllowed, CancelReasonIncomplete, BirthDateImpossible
    ),
)
async def cancel_person(
    mpi_ref: RefInPath, data: JSONBody[PersonToCancel], call: NamedDependency[Call]
) -> Response[bytes]:
    """Cancel a resident, or this institution's own records of her while others know her."""
    institution_id = call.caller.institution_id or ""
    mpi = UUID(await call.vault.mpi_from_ref(institution_id, mpi_ref))
    sealer, blinder = await call.vault.sealer(), await call.vault.blinder()
    refer = await call.vault.referrer(institution_id)

    async def verb(tx: Connection) -> PersonCancellation:
        done = await service.cancel_by_institution(
            tx,
            mpi,
            Wanted(reason=data.reason, died_on=data.died_on, operator=call.caller.caller_id),
            institution_id=institution_id,
            sealer=sealer,
            blinder=blinder,
            now=call.now,
        )
        return PersonCancellation(
            mpi_ref=refer(done.mpi.hex), extent=done.extent, reason=done.reason, cancelled_at=done.at
        )

    return await call.write(verb)


ROUTES = [cancel_person]
