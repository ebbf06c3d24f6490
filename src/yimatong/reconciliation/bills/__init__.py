"""Bills of the payment channels: one pure parser each, all giving the same rows."""
