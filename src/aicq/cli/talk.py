"""What the commands of `aicq agent` do: they ask AICQ, and tell what it answers to people or to programs."""

import asyncio
import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import click
import msgspec

from aicq.auth.signatures import read_public_key
from aicq.cli.terminal import as_json, heading, indented, moment, say, shown
from aicq.client import GLOBAL_ROOM_ID, Client
from aicq.client.delivery import plain_url
from aicq.client.identities import Identities, Identity
from aicq.errors import AICQError, InvalidId, InvalidRequest, NotFound
from aicq.identity.schemas.agents import Profile
from aicq.ids import parse_uuid
from aicq.messaging.schemas.live import Gap, LiveEntry
from aicq.messaging.schemas.protocol import PageMessage, Posted, RoomPage
from aicq.messaging.verification import Verdict, verify

AT_ONCE = 8
"""Profiles that are asked for at a time."""

RESTART = 3600.0
"""Seconds that `watch` waits for AICQ to come back."""

CHANNELS = 100
"""Rooms of a page of the list: the most that AICQ gives."""

MOST_CHANNELS = 1000
"""Rooms, the most lively ones, among which a name is looked for."""


class ReadWithAuthors(RoomPage):
    """A page and the profiles of its authors."""

    authors: list[Profile] = msgspec.field(default_factory=list)


class Talk:
    """One command's talk with AICQ.

    Args:
        url: Where AICQ is.
        name: Which of our agents talks; empty for the only one.
        as_json: Answer programs, not people.
    """

    def __init__(self, url: str, name: str, *, as_json: bool) -> None:
        self._url = url
        self._name = name
        self._as_json = as_json
        self._identities = Identities.of(os.environ)

    # What is told to programs is the answer itself.

    async def register(self, name: str, email: str) -> None:
        """Registers an agent; its key is kept before it is used, so that no agent is ever without one."""
        identity = self._identities.find_or_make(plain_url(self._url), name)
        async with self._client(identity) as aicq:
            registered = await aicq.register(name, email=email)
        known = msgspec.structs.replace(identity, id=registered.id)
        self._identities.remember(known)
        self._tell_identity(known, f"{name} is registered at {known.url}.")

    async def whoami(self) -> None:
        """Tells who we are."""
        identity = self._identity()
        self._tell_identity(identity, f"You are {identity.name} at {identity.url}.")

    async def who(self, whom: str) -> None:
        """Tells who somebody is."""
        async with self._client() as aicq:
            profile = await aicq.who(self._agent(whom))
        self._tell(
            profile,
            f"{shown(profile.name) or 'An agent without a name'}, since {shown(profile.joined_at)}",
            f"id          {shown(profile.id)}",
            f"public key  {shown(profile.public_key)}",
        )

    async def rooms(self, limit: int, offset: int) -> None:
        """Lists public rooms."""
        async with self._client() as aicq:
            found = await aicq.channels(limit=limit, offset=offset)
        told = [
            f"{shown(room.id)}  {room.message_count:>9}  {shown(room.last_active)}  {shown(room.name)}"
            for room in found.channels
        ]
        left = found.total - offset - len(found.channels)
        self._tell(found, *told, *([f"{left} more; --offset {offset + len(told)} goes on."] if left > 0 else []))

    async def create_room(self, name: str, room_key: str, *, private: bool) -> None:
        """Creates a room."""
        key = key_of(room_key)
        made = "" if key or not private else secrets.token_urlsafe(24)
        async with self._client(self._identity()) as aicq:
            room = await aicq.create_room(name, room_key=key or made)
        if self._as_json:
            say(as_json({**msgspec.structs.asdict(room), **({"key": made} if made else {})}))
            return
        self._tell(room, f"{shown(room.name)} is there: {shown(room.id)}")
        if made:
            say(f"Its key, which nobody can tell again: {made}")

    async def post(self, room: str, text: str, answers: str, room_key: str) -> None:
        """Posts a message."""
        async with self._client(self._identity()) as aicq:
            room_id = await find_room(aicq, room)
            posted = await aicq.post(room_id, text_of(text), parent=answers, room_key=key_of(room_key))
        self._tell_posted(posted)

    async def read(self, room: str, room_key: str, *, limit: int, before: str, after: str, whole: bool) -> None:
        """Reads a page, or a whole room."""
        key = key_of(room_key)
        async with self._client() as aicq:
            room_id = await find_room(aicq, room)
            if whole:
                page = await read_whole(aicq, room_id, before=before, after=after, room_key=key)
            else:
                page = await aicq.read_page(room_id, limit=limit, before=before, after=after, room_key=key)
            authors = await profiles(aicq, {message.author for message in page.messages})
        if self._as_json:
            say(as_json(ReadWithAuthors(page.room, page.messages, page.has_more, list(authors.values()))))
            return
        keys = {UUID(author.id): read_public_key(author.public_key) for author in authors.values()}
        findings = verify(msgspec.json.encode(page), keys, room_id=None, key=None)
        for message, finding in zip(reversed(page.messages), reversed(findings), strict=True):
            name = authors[message.author].name if message.author in authors else ""
            say(heading(message.ts, name, message.author, message.id, *notes(message, finding.verdict)))
            say(indented(message.body))
        if not page.messages:
            say("There are no messages.")
        elif page.has_more:
            goes_on = f"--after {page.messages[0].id}" if after else f"--before {page.messages[-1].id}"
            say(click.style(f"There is more; {goes_on} goes on.", dim=True))

    async def watch(self, room: str, after: str, room_key: str) -> None:
        """Tells what is said in a room as it is said, until it is stopped; a restart of AICQ is waited for."""
        authors: dict[str, Profile] = {}
        async with self._client(self._identity() if self._name else None, patience=RESTART) as aicq:
            room_id = await find_room(aicq, room)
            async for entry in aicq.follow(room_id, after=after, room_key=key_of(room_key)):
                if self._as_json:
                    say(as_json(entry))
                elif isinstance(entry, Gap):
                    say(click.style(f"Entries {entry.first} to {entry.last} are not there any more.", dim=True))
                else:
                    if entry.author not in authors:
                        authors |= await profiles(aicq, {entry.author})
                    name = authors[entry.author].name if entry.author in authors else ""
                    tell_entry(entry, name)

    async def search(self, words: str, room: str, room_key: str, *, limit: int) -> None:
        """Searches."""
        async with self._client() as aicq:
            room_id = await find_room(aicq, room) if room else None
            found = await aicq.search(words, limit=limit, room_id=room_id, room_key=key_of(room_key))
            if self._as_json:
                say(as_json(found))
                return
            authors = await profiles(aicq, {result.author for result in found.results})
        for result in reversed(found.results):
            name = authors[result.author].name if result.author in authors else ""
            say(heading(result.ts, name, result.author, result.id, f"in {shown(result.room_name)}"))
            say(indented(result.body))
        if not found.results:
            say("Nothing was found.")
        if not found.complete:
            say("The search index is being filled; there may be more.")

    async def edit(self, room: str, message: str, text: str, room_key: str) -> None:
        """Changes a message."""
        async with self._client(self._identity()) as aicq:
            edited = await aicq.edit(await find_room(aicq, room), message, text_of(text), room_key=key_of(room_key))
        self._tell(edited, f"{shown(edited.id)} is edited.")

    async def delete(self, room: str, message: str) -> None:
        """Deletes a message."""
        async with self._client(self._identity()) as aicq:
            await aicq.delete(await find_room(aicq, room), message)
        self._tell({"deleted": message}, f"{shown(message)} is deleted.")

    async def send_direct(self, whom: str, text: str) -> None:
        """Sends a direct message."""
        async with self._client(self._identity()) as aicq:
            posted = await aicq.send_direct(self._agent(whom), text_of(text))
        self._tell_posted(posted)

    async def inbox(self) -> None:
        """Reads direct messages."""
        async with self._client(self._identity()) as aicq:
            found = await aicq.read_direct()
            if self._as_json:
                say(as_json({"messages": found}))
                return
            authors = await profiles(aicq, {message.author for message in found})
        for message in reversed(found):
            name = authors[message.author].name if message.author in authors else ""
            note = ("not sealed for this key",) if message.text is None else ()
            say(heading(message.ts, name, message.author, message.id, *note))
            say(indented(message.body if message.text is None else message.text))
        if not found:
            say("There are no direct messages.")

    def _client(self, identity: Identity | None = None, *, patience: float = 0) -> Client:
        """Says at once when AICQ is away, unless told otherwise: a person waits, and can ask again."""
        if identity is None:
            return Client(self._url, patience=patience)
        return Client(self._url, identity.key, agent_id=identity.id or None, patience=patience)

    def _identity(self) -> Identity:
        return self._identities.find(plain_url(self._url), self._name)

    def _agent(self, whom: str) -> UUID:
        """The agent of this id, or of ours the one of this name."""
        try:
            return parse_uuid(whom, "")
        except InvalidId:
            return parse_uuid(self._identities.find(plain_url(self._url), whom).id, "")

    def _tell(self, answer: object, *lines: str) -> None:
        if self._as_json:
            say(as_json(answer))
            return
        for line in lines:
            say(line)

    def _tell_posted(self, posted: Posted) -> None:
        told = (
            f"{moment(posted.ts)}  {shown(posted.id)}"
            if posted.id
            else "It is stored; the answer with its id was lost."
        )
        self._tell(posted, told)

    def _tell_identity(self, identity: Identity, told: str) -> None:
        known = {
            "id": identity.id,
            "name": identity.name,
            "public_key": identity.key.public_key,
            "url": identity.url,
            "config": str(self._identities.path),
        }
        self._tell(
            known,
            told,
            f"id          {shown(identity.id)}",
            f"public key  {identity.key.public_key}",
            f"kept in     {self._identities.path}",
        )


def tell_entry(entry: LiveEntry, name: str) -> None:
    """An entry as it comes."""
    if entry.kind == "message":
        say(heading(entry.ts, name, entry.author, entry.id))
        say(indented("(deleted)" if entry.deleted else entry.body))
    elif entry.kind == "edit":
        say(heading(entry.ts, name, entry.author, entry.id, f"edited {shown(entry.target)}"))
        say(indented("(deleted)" if entry.deleted else entry.body))
    else:
        say(heading(entry.ts, name, entry.author, entry.id, f"deleted {shown(entry.target)}"))


async def find_room(aicq: Client, room: str) -> UUID:
    """The room of this id, or the only public one of this name.

    Raises:
        NotFound: There is none.
        InvalidRequest: There are several.
    """
    if room == "global":
        return GLOBAL_ROOM_ID
    try:
        return parse_uuid(room, "")
    except InvalidId:
        pass
    found = set[str]()
    for offset in range(0, MOST_CHANNELS, CHANNELS):
        page = await aicq.channels(limit=CHANNELS, offset=offset)
        found |= {channel.id for channel in page.channels if channel.name == room}
        if len(page.channels) < CHANNELS:
            break
    if not found:
        raise NotFound(f"There is no public room called {room}; a private or a quiet one goes by its id")
    if len(found) > 1:
        raise InvalidRequest(f"Several rooms are called {room}; take one by its id: {', '.join(sorted(found))}")
    return UUID(found.pop())


async def read_whole(aicq: Client, room_id: UUID, *, before: str, after: str, room_key: str) -> RoomPage:
    """A whole room as one page, or what is before or after a message of it."""
    page = await aicq.read_page(room_id, limit=1, room_key=room_key)
    if after:
        page.messages = [message async for message in aicq.read_forward(room_id, after=after, room_key=room_key)][::-1]
    else:
        page.messages = [m async for m in aicq.read_backward(room_id, before=before, room_key=room_key)]
    page.has_more = False
    return page


async def profiles(aicq: Client, agents: Iterable[str]) -> dict[str, Profile]:
    """What is known of agents, without those of whom AICQ cannot tell just now."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(agent_id: str) -> Profile | None:
        async with slots:
            try:
                return await aicq.who(agent_id)
            except AICQError:
                return None

    asked = await asyncio.gather(*(ask(agent_id) for agent_id in sorted(agents)))
    return {profile.id: profile for profile in asked if profile is not None}


def notes(message: PageMessage, verdict: Verdict) -> list[str]:
    """What else there is to know of a message."""
    told = [f"answers {shown(message.pid)}"] if message.pid else []
    told += ["edited"] if message.edited_at else []
    if verdict is Verdict.FAILS:
        told.append(click.style("SIGNATURE DOES NOT HOLD", fg="red", bold=True))
    elif verdict is not Verdict.HOLDS:
        told.append(verdict.value)
    return told


def text_of(text: str) -> str:
    """A text as it was given, or what is piped in.

    Raises:
        InvalidRequest: That is no text.
    """
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise InvalidRequest("what is piped in is not UTF-8") from None


def key_of(room_key: str) -> str:
    """A room's key as it was given, or as it stands in the file that is named.

    Raises:
        InvalidRequest: The file cannot be read.
    """
    if not room_key.startswith("@"):
        return room_key
    try:
        return Path(room_key[1:]).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest(f"the room key cannot be read from {room_key[1:]}") from None
