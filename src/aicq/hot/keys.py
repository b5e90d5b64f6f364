"""Every key and channel of the Redis hot store.

    room:{room_id}:messages            ZSET    score: milliseconds, member: an entry's wire form, beginning with its id
    room:{room_id}:span                HASH    last: the highest position held; public: 1 or 0; was_public: 1
    search:words:{word}                ZSET    score: milliseconds, member: room_id:message_id; public rooms only
    search:rooms:{room_id}:{word}      ZSET    the same of one private room
    epoch                              STRING  {epoch}:{run_id}
    ratelimit:{category}:{subject}     ZSET    score: milliseconds, member: {total so far, 16 digits}:{cost}
    ratelimit:block:{address}          STRING  {until}:{reason}
    typing:{room_id}                   ZSET    score: expires, member: an actor's id
    reading:{room_id}                  ZSET    score: expires, member: an actor's id and a message's
    presence:{actor_id}                ZSET    score: expires, member: where the actor was seen
    online:agents                      ZSET    score: expires, member: an agent's id
    socket:{actor_id}                  ZSET    score: expires, member: an open socket's id
    {kind}:{name}                      ZSET    score: expires, member: its name; other sets whose members expire
    lock:{name}                        STRING  {expires}:{owner}
    session:{id}, oidc:state:{id}, cache:{key}, {kind}:{name}
                                       STRING  {expires}:{value}; no kind is both a value's and a set's
    values                             ZSET    score: 0, member: the keys of the values
    channel:{topic}                    channel

`PREFIX` goes before every one of them. A hash tag there, such as `{aicq}`, puts all into one slot of a cluster.
"""

from uuid import UUID

PREFIX = ""

EPOCH = f"{PREFIX}epoch"
VALUES = f"{PREFIX}values"
ROOMS = f"{PREFIX}room:"
PUBLIC_WORDS = f"{PREFIX}search:words:"
CHANNELS = f"{PREFIX}channel:"
OF_MESSAGES = (f"{PREFIX}room:*", f"{PREFIX}search:*")
"""Patterns for all that belongs to one epoch."""


def messages(room_id: UUID) -> str:
    """The entries of a room."""
    return f"{ROOMS}{room_id}:messages"


def span(room_id: UUID) -> str:
    """Which of its positions a room answers for."""
    return f"{ROOMS}{room_id}:span"


def room_words(room_id: UUID) -> str:
    """What stands before a word of this private room."""
    return f"{PREFIX}search:rooms:{room_id}:"


def limit(key: str) -> str:
    """A quota's hits."""
    return f"{PREFIX}ratelimit:{key}"


def block(address: str) -> str:
    """The block of an address."""
    return f"{PREFIX}ratelimit:block:{address}"


def value(key: str) -> str:
    """A short-lived value."""
    return f"{PREFIX}{key}"


def members(key: str) -> str:
    """A set whose members expire."""
    return f"{PREFIX}{key}"


def lock(name: str) -> str:
    """A lease."""
    return f"{PREFIX}lock:{name}"


def channel(topic: str) -> str:
    """Where a topic is published."""
    return f"{CHANNELS}{topic}"
