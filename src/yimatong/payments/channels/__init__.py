"""The payment channels: one folder each, one entry in ``registry``."""
