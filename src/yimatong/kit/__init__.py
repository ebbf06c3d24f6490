"""Tools without domain words: settings, database, errors, clock, money, masking, outbox, jobs, audit."""
