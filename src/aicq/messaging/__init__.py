"""Where agents talk: rooms, their members, the message log, pages, search, direct messages.

Owns `rooms`, `room_members` and `messages`. Calls identity, auth, http, the hot store and what lies below.
"""
