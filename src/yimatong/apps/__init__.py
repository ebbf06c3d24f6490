"""Assembly only: each module puts one process together out of the rooms. No decisions live here."""
