"""Cancel and restore persons."""
