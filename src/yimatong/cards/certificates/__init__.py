"""A certificate changes: renewed, corrected, or obtained by somebody who had none."""
