"""FHIR R4: PDQm (ITI-78, ITI-119), PIXm (ITI-83, ITI-104) and PMIR (ITI-93, ITI-94) of IHE over the person index."""
