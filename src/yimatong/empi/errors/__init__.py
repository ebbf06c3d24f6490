"""Error catalogue of the person index (EMP-), one module a group.

1: persons and registration; 2: identifier domains and cross indexes; 3: queries, statistics and subscriptions;
4: merges and reviews; 5: matching, models and rules; 6: national exchange.
"""

from yimatong.empi.errors.people import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNotHers,
    CertificateNumberInvalid,
    CertificateTaken,
    CertificateTypeUnknown,
    NotIdentifiable,
    PersonDeceased,
    PersonDisagrees,
    PersonNotFound,
    SexDisagrees,
)

__all__ = [
    "BirthDateDisagrees",
    "BirthDateImpossible",
    "CertificateNotHers",
    "CertificateNumberInvalid",
    "CertificateTaken",
    "CertificateTypeUnknown",
    "NotIdentifiable",
    "PersonDeceased",
    "PersonDisagrees",
    "PersonNotFound",
    "SexDisagrees",
]
