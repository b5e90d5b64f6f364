"""The calls of work, a file for each noun."""
