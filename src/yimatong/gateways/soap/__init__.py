"""SOAP ``HIPMessageServer`` (WS/T 448-2014, WS/T 846-2024): HL7 v3 messages of registration, merge and query."""
