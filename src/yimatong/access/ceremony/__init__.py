"""The key ceremony: every change of the crypto device's keys, proposed by one custodian and approved by another."""
