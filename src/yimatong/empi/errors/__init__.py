"""Error catalogue of the person index (EMP-), one module a group.

1: persons and registration; 2: identifier domains and cross indexes; 3: queries, statistics and subscriptions;
4: merges and reviews; 5: matching, models and rules; 6: national exchange.
"""

from yimatong.empi.errors.identifiers import (
    CertificateNotEnded,
    DomainChanged,
    DomainExists,
    DomainNotYours,
    DomainRuleInvalid,
    DomainSuspended,
    DomainUnknown,
    NumberCheckDigit,
    NumberInvalid,
    NumberTaken,
    NumberUnknown,
    NumberUsedUp,
    PersonHasAnother,
)
from yimatong.empi.errors.matching import MatchModelInvalid, MatchSettingsInvalid, MatchThresholdsInvalid
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
    "CertificateNotEnded",
    "CertificateNotHers",
    "CertificateNumberInvalid",
    "CertificateTaken",
    "CertificateTypeUnknown",
    "DomainChanged",
    "DomainExists",
    "DomainNotYours",
    "DomainRuleInvalid",
    "DomainSuspended",
    "DomainUnknown",
    "MatchModelInvalid",
    "MatchSettingsInvalid",
    "MatchThresholdsInvalid",
    "NotIdentifiable",
    "NumberCheckDigit",
    "NumberInvalid",
    "NumberTaken",
    "NumberUnknown",
    "NumberUsedUp",
    "PersonDeceased",
    "PersonDisagrees",
    "PersonHasAnother",
    "PersonNotFound",
    "SexDisagrees",
]
