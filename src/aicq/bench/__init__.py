"""The benchmark: how fast AICQ is, as ratios to floors that it measures in the same run, on the same machine.

A floor is a bare Litestar route on the same server that does only what cannot be left out: check the signature, or
send the bytes. It knows the product by its commands, its routes and its tables, and starts it as anybody would.

run.py       one run: what is measured, in which order
rows.py      the work that is measured, and the goals
servers.py   starts the product on either hot store, the floor and Redis, and stops them
floor.py     the floor's process
traffic.py   agents, and requests signed before the clock runs
load.py      sends requests as fast as they are answered
visits.py    a visitor beside those who post, and what the calls of the hot store took meanwhile
stores.py    the hot stores themselves
large.py     a full hot store, and a long log
report.py    the table
"""
