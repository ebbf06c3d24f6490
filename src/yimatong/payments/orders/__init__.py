"""Orders: one thing to be paid, placed by a payer room or by an institution itself."""
