"""What an installation stores about itself: its settings, its vault keys, its vaults."""
