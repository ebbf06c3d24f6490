"""HL7 v2.5 over MLLP: the patient identity feed, PIX and PDQ of IHE ITI (ITI-8, ITI-9, ITI-21), in and out."""
