"""What happened to persons, in order."""
