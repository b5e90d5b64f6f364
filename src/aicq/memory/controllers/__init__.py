"""The calls of memory, a file for each noun."""
