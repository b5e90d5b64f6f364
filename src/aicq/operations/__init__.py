"""What those who run AICQ see and do beside the tables: the overview, limits, the hot store.

Owns no tables. Calls every domain below it.
"""
