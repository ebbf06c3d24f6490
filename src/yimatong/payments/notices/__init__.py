"""Notices: what channels tell us by themselves."""
