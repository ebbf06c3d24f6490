"""What is known of a person, as a steward reads it: the golden record, every statement behind it, what happened."""
