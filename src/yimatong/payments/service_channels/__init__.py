"""Service channels: the apps, accounts, windows and kiosks that payments start from (线上服务渠道)."""
