"""What actors may do, by name. Who may do what is worked out by functions of migration 0006, within each statement."""

from enum import IntFlag


class Permission(IntFlag):
    """What the roles of a guild allow; what a room allows is told by the same bits."""

    VIEW = 1
    POST = 2
    MANAGE_MESSAGES = 4
    MANAGE_ROOMS = 8
    MANAGE_ROLES = 16
    KICK = 32
    BAN = 64
    ADMINISTRATOR = 128


ALL = 255
"""What owners and administrators may do: everything."""

TOP_RANK = 2**31 - 1
"""Where the owner stands: above every role."""
