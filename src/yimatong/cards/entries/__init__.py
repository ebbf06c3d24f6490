"""Residents without a valid certificate: newborns, unidentified patients, people without papers."""
