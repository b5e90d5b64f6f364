"""The calls of rooms and messages: the AICQ protocol at the root."""
