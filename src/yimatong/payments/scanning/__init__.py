"""What a window's scanner reads when somebody pays: a channel's payment code, or a health-card code."""
