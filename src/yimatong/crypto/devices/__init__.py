"""Crypto devices behind one small protocol: a soft device today, hardware by GM/T 0018 beside it."""
