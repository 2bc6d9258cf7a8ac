"""Room 9. Nothing leaves but through a channel."""
