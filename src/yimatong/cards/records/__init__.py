"""Records of issue and verification: search, counts, the live pulse, partitions, retention and archive."""
