"""Merge, unmerge, rejected pairs, the cluster check."""
