"""Machines come in here: the fronts in hospitals and in the DMZ."""
