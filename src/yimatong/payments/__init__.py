"""Whether money moved, and where it is: orders, attempts, refunds, the ledger, the channels."""
