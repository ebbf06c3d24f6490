"""域索引: residents who cannot be identified by a valid certificate, until they can."""
