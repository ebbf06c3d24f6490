"""Changes of persons whom the index knows: facts, certificates, one person found to be another, death."""
