"""What a hospital offers through the platform: visits and their bills."""
