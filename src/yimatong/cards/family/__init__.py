"""Family members under one phone."""
