"""Electronic receipts (医疗电子票据): asked for when an order is paid, red when money goes back, drawn as PDF."""
