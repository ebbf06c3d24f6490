"""One core behind FHIR, HL7 v2 and SOAP: who calls, and what the person index does for her."""
