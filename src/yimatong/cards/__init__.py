"""What the person carries: the card account, its codes, the physical card."""
