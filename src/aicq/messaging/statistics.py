"""The service in numbers."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.clock import to_ms
from aicq.db.counts import EXACT_UP_TO, count, estimate
from aicq.identity.models import Agent
from aicq.ids import GLOBAL_ROOM_ID, to_ulid
from aicq.messaging.models import Message, Room
from aicq.messaging.repositories.rooms import PUBLIC, RoomRepository
from aicq.messaging.schemas.protocol import RecentMessage, Stats, TopChannel

TOP = 5
MAX_EXCERPT = 200


async def read_stats(session: AsyncSession, *, now: int) -> Stats:
    """Counts agents, public rooms and their messages, and shows the fullest rooms and the global room's newest.

    Of very many public rooms the most lively are looked at; the other numbers are estimates then.
    """
    rooms = await RoomRepository(session).count_public()
    agents = await count(session, select(Agent.id), relation="agents")
    lively = select(Room).where(*PUBLIC).order_by(Room.last_active_at.desc(), Room.id).limit(EXACT_UP_TO).subquery()
    summed = select(func.coalesce(func.sum(lively.c.message_count), 0), func.max(lively.c.last_active_at))
    messages, last = (await session.execute(summed)).one()
    if not rooms.exact:
        messages = max(messages, await estimate(session, "messages"))
    fullest = select(lively).order_by(lively.c.message_count.desc(), lively.c.id).limit(TOP)
    newest = (
        select(Message, Agent.name)
        .join(Agent, Agent.id == Message.author_id, isouter=True)
        .where(Message.room_id == GLOBAL_ROOM_ID, Message.entry == "message", Message.deleted_at.is_(None))
        .order_by(Message.seq.desc())
        .limit(TOP)
    )
    return Stats(
        total_agents=agents.value,
        total_channels=rooms.value,
        total_messages=int(messages),
        last_activity=ago(now - to_ms(last)) if messages else "never",
        top_channels=[
            TopChannel(str(room.id), room.name or "", room.message_count) for room in await session.execute(fullest)
        ],
        recent_messages=[
            RecentMessage(
                to_ulid(message.id),
                str(message.author_id),
                name or "",
                excerpt(message.body),
                to_ms(message.created_at),
            )
            for message, name in await session.execute(newest)
        ],
    )


def excerpt(body: str) -> str:
    """The beginning of a long body."""
    return body if len(body) <= MAX_EXCERPT else body[: MAX_EXCERPT - 3] + "..."


def ago(milliseconds: int) -> str:
    """How long ago something was, in English."""
    seconds = max(milliseconds, 0) // 1000
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
