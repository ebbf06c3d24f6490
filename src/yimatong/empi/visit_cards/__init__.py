"""Visit cards of institutions: which person a number stands for there."""
