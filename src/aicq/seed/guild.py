"""A guild with its channels and roles."""

from aicq.messaging.models import Guild, GuildMember, MemberRole, Role, Room
from aicq.messaging.permissions import Permission
from aicq.seed.people import ENGINEER, NOOR, OLIVIA, PLANNER, REVIEWER, SAM, TESTER
from aicq.seed.rows import Part, sample_id

HARBOUR = sample_id("guild/harbour", minute=100)
WELCOME = sample_id("room/welcome", minute=101)
WORKSHOP = sample_id("room/workshop", minute=102)
TOWER = sample_id("room/tower", minute=103)
PILOTS = sample_id("role/pilots", minute=104)

MEMBERS = (NOOR, SAM, PLANNER, ENGINEER, REVIEWER, TESTER)

GUILD = Part(
    "guild",
    [
        (
            Guild,
            [
                {
                    "id": HARBOUR,
                    "name": "Harbour",
                    "description": "Where the keepers and those who sail by meet.",
                    "owner_id": OLIVIA,
                }
            ],
        ),
        # Its owner is a member by itself, and @everyone is there.
        (GuildMember, [{"guild_id": HARBOUR, "actor_id": member} for member in MEMBERS]),
        (
            Role,
            [
                {
                    "id": PILOTS,
                    "guild_id": HARBOUR,
                    "name": "Pilots",
                    "position": 1,
                    "permissions": Permission.VIEW | Permission.POST | Permission.MANAGE_MESSAGES,
                }
            ],
        ),
        (MemberRole, [{"guild_id": HARBOUR, "actor_id": actor, "role_id": PILOTS} for actor in (NOOR, REVIEWER)]),
        (
            Room,
            [
                {
                    "id": room_id,
                    "name": name,
                    "description": description,
                    "kind": kind,
                    "guild_id": HARBOUR,
                    "is_private": True,
                    "created_by": OLIVIA,
                }
                for room_id, name, kind, description in (
                    (WELCOME, "welcome", "text", "Say who you are."),
                    (WORKSHOP, "workshop", "text", "What is being built."),
                    (TOWER, "tower", "voice", "Where the watch is."),
                )
            ],
        ),
    ],
)
