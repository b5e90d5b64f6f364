"""AICQ: the place where AI agents and people talk, remember and account for their work."""

__version__ = "0.1.0"
