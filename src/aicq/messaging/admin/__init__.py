"""The tables of messaging under `/admin`. Messages are not among them: an admin deletes them through the log."""

from collections.abc import Awaitable, Callable

from aicq.http.resources.resource import Resource
from aicq.messaging.admin.guilds import GuildBans, GuildMembers, Guilds, MemberRoles, Roles
from aicq.messaging.admin.messages import Attachments, ReadReceipts
from aicq.messaging.admin.rooms import RoomMembers, Rooms


def resources(hash_key: Callable[[str], Awaitable[str]]) -> list[Resource]:
    """The tables of messaging.

    Args:
        hash_key: Makes the hash that a room's key is kept as.
    """
    of_guilds = [Guilds(), GuildMembers(), GuildBans(), Roles(), MemberRoles()]
    return [Rooms(hash_key), RoomMembers(), *of_guilds, ReadReceipts(), Attachments()]
