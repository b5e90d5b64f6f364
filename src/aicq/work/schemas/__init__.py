"""What work looks like on the wire."""
