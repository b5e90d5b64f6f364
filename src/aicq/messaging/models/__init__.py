"""Rooms, the message log, guilds, and what points at them."""

from aicq.messaging.models.guilds import Guild, GuildBan, GuildMember, MemberRole, Role
from aicq.messaging.models.messages import Message, MessageAttachment, MessageReadReceipt
from aicq.messaging.models.rooms import Room, RoomMember

__all__ = [
    "Guild",
    "GuildBan",
    "GuildMember",
    "MemberRole",
    "Message",
    "MessageAttachment",
    "MessageReadReceipt",
    "Role",
    "Room",
    "RoomMember",
]
