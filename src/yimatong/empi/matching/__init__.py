"""Pure matching: normal forms, comparisons, scores, blocking keys, clusters."""
