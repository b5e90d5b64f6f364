"""What rooms and messages look like on the wire."""
