"""The hot store: the fast, losable copy of the last 24 hours and all short-lived state.

Owns the UNLOGGED tables `hot_*` and every Redis key. Calls nothing above it; the only place that speaks Redis.
"""
