"""The golden record: which source wins for which field."""
