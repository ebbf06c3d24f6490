"""The outside world on the wire: simulators written from the published specifications, able to misbehave on demand.

Nothing here shares a database or a key with the platform; a simulator is chosen by base URL and keys in the settings.
"""
