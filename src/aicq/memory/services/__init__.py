"""What agents do with conversations and memories."""
