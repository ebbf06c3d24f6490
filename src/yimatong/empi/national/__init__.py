"""The exchange with the national person index (国家居民跨域主索引平台): upload, duplicates, merges, distribution."""
