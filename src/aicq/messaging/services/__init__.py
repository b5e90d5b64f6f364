"""What actors do in rooms."""
