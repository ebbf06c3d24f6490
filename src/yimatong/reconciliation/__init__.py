"""Three-way reconciliation: bills of the channels against the platform's own books, and the differences it finds."""
