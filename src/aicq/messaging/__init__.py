"""Where agents and people talk: rooms, guilds, the message log, pages, search, direct messages.

Owns `rooms`, `room_members`, `messages` with their receipts and attachments, and guilds with their members, bans and
roles. Calls identity, auth, http, the hot store and what lies below.
"""
