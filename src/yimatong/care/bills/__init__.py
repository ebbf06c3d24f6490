"""Bills: what a visit costs, and the order that has it paid."""
