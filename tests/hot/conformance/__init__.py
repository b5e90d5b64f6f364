"""What both hot stores promise, each promise tested over both, with no branch that knows which is which."""
