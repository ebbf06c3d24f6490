"""The elements of the FHIR R4 (4.0.1) resources and data types that are served, as one table. Pure.

Read off the R4 structure definitions; ``tests/gateways/test_fhir_elements.py`` compares the table with the models of
the library ``fhir.resources``. A line is ``Type = name:type name:type*``; ``*`` marks what repeats, ``Any`` is taken as
it comes and not looked into. ``@domain``, ``@resource``, ``@backbone`` and ``@element`` stand for what every resource,
backbone element or element begins with, ``@values`` for the types of ``value[x]``. ``Primitive`` is what stands beside
a primitive value. The order is that of the XML form.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_SHARED: Final = {
    "@domain": "id:id meta:Meta implicitRules:uri language:code text:Narrative contained:Resource* "
    "extension:Extension* modifierExtension:Extension*",
    "@resource": "id:id meta:Meta implicitRules:uri language:code",
    "@backbone": "id:string extension:Extension* modifierExtension:Extension*",
    "@element": "id:string extension:Extension*",
    "@values": """
valueBase64Binary:base64Binary valueBoolean:boolean valueCanonical:canonical valueCode:code valueDate:date
valueDateTime:dateTime valueDecimal:decimal valueId:id valueInstant:instant valueInteger:integer
valueMarkdown:markdown valueOid:oid valuePositiveInt:positiveInt valueString:string valueTime:time
valueUnsignedInt:unsignedInt valueUri:uri valueUrl:url valueUuid:uuid valueAddress:Address valueAge:Age
valueAnnotation:Annotation valueAttachment:Attachment valueCodeableConcept:CodeableConcept valueCoding:Coding
valueContactPoint:ContactPoint valueCount:Count valueDistance:Distance valueDuration:Duration
valueHumanName:HumanName valueIdentifier:Identifier valueMoney:Money valuePeriod:Period valueQuantity:Quantity
valueRange:Range valueRatio:Ratio valueReference:Reference valueSampledData:Any valueSignature:Signature
valueTiming:Any valueContactDetail:ContactDetail valueContributor:Any valueDataRequirement:Any valueExpression:Any
valueParameterDefinition:Any valueRelatedArtifact:Any valueTriggerDefinition:Any valueUsageContext:UsageContext
valueDosage:Any
""",
}

_TABLE: Final = """
Patient = @domain identifier:Identifier* active:boolean name:HumanName* telecom:ContactPoint* gender:code
  birthDate:date deceasedBoolean:boolean deceasedDateTime:dateTime address:Address* maritalStatus:CodeableConcept
  multipleBirthBoolean:boolean multipleBirthInteger:integer photo:Attachment* contact:PatientContact*
  communication:PatientCommunication* generalPractitioner:Reference* managingOrganization:Reference link:PatientLink*
RelatedPerson = @domain identifier:Identifier* active:boolean patient:Reference relationship:CodeableConcept*
  name:HumanName* telecom:ContactPoint* gender:code birthDate:date address:Address* photo:Attachment* period:Period
  communication:RelatedPersonCommunication*
Bundle = @resource identifier:Identifier type:code timestamp:instant total:unsignedInt link:BundleLink*
  entry:BundleEntry* signature:Signature
Parameters = @resource parameter:ParametersParameter*
OperationOutcome = @domain issue:OperationOutcomeIssue*
MessageHeader = @domain eventCoding:Coding eventUri:uri destination:MessageHeaderDestination* sender:Reference
  enterer:Reference author:Reference source:MessageHeaderSource responsible:Reference reason:CodeableConcept
  response:MessageHeaderResponse focus:Reference* definition:canonical
Subscription = @domain status:code contact:ContactPoint* end:instant reason:string criteria:string error:string
  channel:SubscriptionChannel
CapabilityStatement = @domain url:uri version:string name:string title:string status:code experimental:boolean
  date:dateTime publisher:string contact:ContactDetail* description:markdown useContext:UsageContext*
  jurisdiction:CodeableConcept* purpose:markdown copyright:markdown kind:code instantiates:canonical* imports:canonical*
  software:CapabilitySoftware
  implementation:CapabilityImplementation fhirVersion:code format:code* patchFormat:code*
  implementationGuide:canonical* rest:CapabilityRest* messaging:CapabilityMessaging* document:CapabilityDocument*
Primitive = @element
Meta = @element versionId:id lastUpdated:instant source:uri profile:canonical* security:Coding* tag:Coding*
Narrative = @element status:code div:xhtml
Extension = @element url:uri @values
Identifier = @element use:code type:CodeableConcept system:uri value:string period:Period assigner:Reference
HumanName = @element use:code text:string family:string given:string* prefix:string* suffix:string* period:Period
ContactPoint = @element system:code value:string use:code rank:positiveInt period:Period
Address = @element use:code type:code text:string line:string* city:string district:string state:string
  postalCode:string country:string period:Period
CodeableConcept = @element coding:Coding* text:string
Attachment = @element contentType:code language:code data:base64Binary url:url size:unsignedInt hash:base64Binary
  title:string creation:dateTime
PatientContact = @backbone relationship:CodeableConcept* name:HumanName telecom:ContactPoint* address:Address
  gender:code organization:Reference period:Period
PatientCommunication = @backbone language:CodeableConcept preferred:boolean
Reference = @element reference:string type:uri identifier:Identifier display:string
PatientLink = @backbone other:Reference type:code
Period = @element start:dateTime end:dateTime
RelatedPersonCommunication = @backbone language:CodeableConcept preferred:boolean
BundleLink = @backbone relation:string url:uri
BundleEntry = @backbone link:BundleLink* fullUrl:uri resource:Resource search:BundleEntrySearch
  request:BundleEntryRequest response:BundleEntryResponse
Signature = @element type:Coding* when:instant who:Reference onBehalfOf:Reference targetFormat:code sigFormat:code
  data:base64Binary
ParametersParameter = @backbone name:string @values valueMeta:Meta resource:Resource part:ParametersParameter*
OperationOutcomeIssue = @backbone severity:code code:code details:CodeableConcept diagnostics:string location:string*
  expression:string*
Coding = @element system:uri version:string code:code display:string userSelected:boolean
MessageHeaderDestination = @backbone name:string target:Reference endpoint:url receiver:Reference
MessageHeaderSource = @backbone name:string software:string version:string contact:ContactPoint endpoint:url
MessageHeaderResponse = @backbone identifier:id code:code details:Reference
SubscriptionChannel = @backbone type:code endpoint:url payload:code header:string*
ContactDetail = @element name:string telecom:ContactPoint*
UsageContext = @element code:Coding valueCodeableConcept:CodeableConcept valueQuantity:Quantity valueRange:Range
  valueReference:Reference
CapabilitySoftware = @backbone name:string version:string releaseDate:dateTime
CapabilityImplementation = @backbone description:string url:url custodian:Reference
CapabilityRest = @backbone mode:code documentation:markdown security:CapabilityRestSecurity
  resource:CapabilityRestResource* interaction:CapabilityRestInteraction*
  searchParam:CapabilityRestResourceSearchParam* operation:CapabilityRestResourceOperation* compartment:canonical*
CapabilityMessaging = @backbone endpoint:CapabilityMessagingEndpoint* reliableCache:unsignedInt documentation:markdown
  supportedMessage:CapabilityMessagingSupportedMessage*
CapabilityDocument = @backbone mode:code documentation:markdown profile:canonical
Age = @element value:decimal comparator:code unit:string system:uri code:code
Annotation = @element authorReference:Reference authorString:string time:dateTime text:markdown
Count = @element value:decimal comparator:code unit:string system:uri code:code
Distance = @element value:decimal comparator:code unit:string system:uri code:code
Duration = @element value:decimal comparator:code unit:string system:uri code:code
Money = @element value:decimal currency:code
Quantity = @element value:decimal comparator:code unit:string system:uri code:code
Range = @element low:Quantity high:Quantity
Ratio = @element numerator:Quantity denominator:Quantity
BundleEntrySearch = @backbone mode:code score:decimal
BundleEntryRequest = @backbone method:code url:uri ifNoneMatch:string ifModifiedSince:instant ifMatch:string
  ifNoneExist:string
BundleEntryResponse = @backbone status:string location:uri etag:string lastModified:instant outcome:Resource
CapabilityRestSecurity = @backbone cors:boolean service:CodeableConcept* description:markdown
CapabilityRestResource = @backbone type:code profile:canonical supportedProfile:canonical* documentation:markdown
  interaction:CapabilityRestResourceInteraction* versioning:code readHistory:boolean updateCreate:boolean
  conditionalCreate:boolean conditionalRead:code conditionalUpdate:boolean conditionalDelete:code
  referencePolicy:code* searchInclude:string* searchRevInclude:string* searchParam:CapabilityRestResourceSearchParam*
  operation:CapabilityRestResourceOperation*
CapabilityRestInteraction = @backbone code:code documentation:markdown
CapabilityRestResourceSearchParam = @backbone name:string definition:canonical type:code documentation:markdown
CapabilityRestResourceOperation = @backbone name:string definition:canonical documentation:markdown
CapabilityMessagingEndpoint = @backbone protocol:Coding address:url
CapabilityMessagingSupportedMessage = @backbone mode:code definition:canonical
CapabilityRestResourceInteraction = @backbone code:code documentation:markdown
"""

RESOURCES: Final = frozenset(
    {
        "Bundle",
        "CapabilityStatement",
        "MessageHeader",
        "OperationOutcome",
        "Parameters",
        "Patient",
        "RelatedPerson",
        "Subscription",
    }
)


class Element(NamedTuple):
    """One element of a type."""

    name: str
    type: str
    many: bool


def _elements(text: str) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for word in text.split():
        if word.startswith("@"):
            found |= _elements(_SHARED[word])
        else:
            name, _, kind = word.partition(":")
            found[name] = Element(name, kind.removesuffix("*"), kind.endswith("*"))
    return found


def _types() -> dict[str, dict[str, Element]]:
    found = {}
    for line in _TABLE.replace("\n  ", " ").strip().splitlines():
        name, _, words = line.partition(" = ")
        found[name] = _elements(words)
    return found


TYPES: Final = _types()
"""The elements of each type by name, in the order of the XML form."""
