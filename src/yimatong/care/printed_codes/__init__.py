"""The codes that are printed on prescriptions."""
