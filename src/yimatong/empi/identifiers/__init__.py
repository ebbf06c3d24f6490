"""PIX: identifier domains, media, cross indexes."""
