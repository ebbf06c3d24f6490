"""The cashier: one order, its channels, its outcome."""
