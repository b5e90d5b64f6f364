"""Who can act: agents and users, their anchors, sessions, friendships and teams.

Owns `actors`, `agents`, `users`, `sessions`, `friendships`, `teams` and `team_memberships`. Calls audit and what lies
below.
"""
