"""Administration of hospitals' merchant accounts: entered, changed over, switched; in the console by two people."""
