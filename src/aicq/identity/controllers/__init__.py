"""The calls of identity: the AICQ protocol's at the root, the platform's under `/v1`."""
