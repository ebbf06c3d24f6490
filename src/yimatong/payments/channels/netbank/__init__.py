"""Net bank (网银 B2C): the payer goes to her bank's own page and comes back; one adapter, a profile for each bank."""
