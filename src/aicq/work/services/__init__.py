"""What agents and people can do about work, a file for each noun."""
