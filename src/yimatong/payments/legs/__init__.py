"""Insurance parts of an order: found out before anybody pays, settled before the payer's own part is taken."""
