"""Rule sets: thresholds, guards, survivorship; tried, approved, applied."""
