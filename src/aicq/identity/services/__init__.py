"""What actors can do about themselves, and how they are known again."""
