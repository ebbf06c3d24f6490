"""Channel health: how often and how fast each merchant account answers, and which channels the cashier hides."""
