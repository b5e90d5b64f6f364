"""`/v1/live`: many rooms over one WebSocket, with posts, typing and presence."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from aicq.auth.gate import ROUTINE
from aicq.auth.principal import Principal
from aicq.auth.tokens import Bearers
from aicq.clock import now_ms
from aicq.db.plugin import Database
from aicq.errors import AICQError, HotStoreUnavailable, InvalidRequest, NotAuthenticated, NotFound
from aicq.hot.presence import Presence as WhoIsThere
from aicq.http.admission import Attempts, admission_of
from aicq.http.metrics import POSTED
from aicq.http.streams import comeback
from aicq.ids import from_ulid, parse_uuid, to_ulid
from aicq.messaging.access import Following
from aicq.messaging.company import Company, Mark
from aicq.messaging.controllers.protocol import BAD_ROOM_ID
from aicq.messaging.controllers.readers import Known
from aicq.messaging.events import Event
from aicq.messaging.feeds import Ended, position_after
from aicq.messaging.live import Follower
from aicq.messaging.schemas import live as frames
from aicq.messaging.services.messages import MessageService
from aicq.messaging.services.receipts import ReceiptService
from aicq.messaging.services.rooms import Rooms

log = structlog.get_logger("aicq.live")

ASK_AFTER = 20
"""Seconds of silence after which the service asks whether somebody is there."""

END_AFTER = 60
"""Seconds of silence after which it ends."""

STUCK_AFTER = 30.0
"""Seconds that one frame may take to be sent; whoever reads so slowly may come back and catch up."""

MOST_ROOMS = 200
"""Rooms that one socket may follow."""

MOST_BYTES = 16_384
"""Bytes of a frame."""

RENEW_EVERY = 20
"""Seconds after which presence is renewed and the token looked at again."""

GOING_AWAY, TOO_BIG, RESTARTING, TRY_LATER, UNAUTHORIZED = 1001, 1009, 1012, 1013, 4401
"""Codes that a socket is closed with."""

AnySocket = WebSocket[Any, Any, Any]

decode = msgspec.json.Decoder(frames.Frame).decode
encode = msgspec.json.Encoder().encode


class Conversation:
    """One socket and what is said over it.

    Frames are sent one at a time and waited for, so whoever reads slowly is sent less; entries that come meanwhile stay
    in the log until they are asked for.

    Args:
        socket: The socket, accepted.
        address: The peer's.
        following: Follows rooms.
        company: Knows who types in them and has read.
        rooms: Checks keys.
        messages: Posts.
        presence: Knows who is there.
        database: Keeps read marks.
    """

    def __init__(
        self,
        socket: AnySocket,
        address: str,
        following: Following,
        company: Company,
        rooms: Rooms,
        messages: MessageService,
        presence: WhoIsThere,
        database: Database,
    ) -> None:
        self._socket = socket
        self._address = address
        self._admission = admission_of(socket)
        self._attempts = Attempts(self._admission, address)
        self._following = following
        self._company = company
        self._rooms = rooms
        self._messages = messages
        self._presence = presence
        self._database = database
        self._id = secrets.token_hex(8)
        self._bearers: Bearers = socket.app.state["bearers"]
        self._principal: Principal | None = None
        self._token = ""
        self._followed: dict[UUID, asyncio.Task[None]] = {}
        self._typing_in: set[UUID] = set()
        self._sending = asyncio.Lock()
        self._is_closed = False

    async def hold(self) -> None:
        """Holds the conversation until either side ends it."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._send(frames.Hello(ask_after=ASK_AFTER, end_after=END_AFTER, come_back_after=comeback() / 1000))
            await self._listen()
        except WebSocketDisconnect:
            self._is_closed = True
        finally:
            tasks = [watching, *self._followed.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._principal is not None:
                with suppress(HotStoreUnavailable):
                    for room_id in [*self._typing_in]:
                        await self._stop_typing(room_id)
                    await self._presence.close(self._principal.id, self._id)
                    await self._presence.leave(self._principal.id, at=self._id)

    async def fail(self, error: AICQError, ref: str) -> None:
        """Tells what went wrong."""
        told = frames.Failed(
            ref=ref,
            status=error.status,
            error=error.sentence,
            field=error.field or "",
            retry_after=error.retry_after or 0,
        )
        await self._send(told)

    async def close(self, code: int, reason: str) -> None:
        """Closes the socket."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(Exception):  # it may be gone already
                await self._socket.close(code=code, reason=reason[:120])

    async def _listen(self) -> None:
        silent_since = asyncio.get_running_loop().time()
        while not self._is_closed:
            try:
                async with asyncio.timeout(ASK_AFTER):
                    frame = await self._socket.receive_data(mode="text")
            except TimeoutError:
                if asyncio.get_running_loop().time() - silent_since > END_AFTER:
                    return await self.close(GOING_AWAY, "silent for too long")
                await self._send(frames.Asked())
                continue
            silent_since = asyncio.get_running_loop().time()
            if len(frame) > MOST_BYTES:
                return await self.close(TOO_BIG, "a frame may have 16 KiB")
            await self._hear(frame)
        return None

    async def _hear(self, text: str) -> None:
        ref = ""
        try:
            try:
                said = decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise InvalidRequest(f"invalid frame: {error}") from None
            ref = said.ref
            await self._admission.admit(self._socket, "frames", subject=self._id)
            told = await self._ANSWERS[type(said)](self, said)
            if told is not None:
                told.ref = ref
                await self._send(told)
        except AICQError as error:
            await self.fail(error, ref)

    async def _authenticate(self, said: frames.Auth) -> frames.Told:
        await self._admission.refuse_exhausted(self._address)
        try:
            principal = await self._bearers.principal(said.token, now=now_ms())
        except ROUTINE:
            raise
        except NotAuthenticated:
            await self._admission.charge_failure(self._address)
            raise
        if self._principal is not None and self._principal.id != principal.id:
            raise InvalidRequest("this socket is somebody else's", field="token")
        self._principal, self._token = principal, said.token
        await self._renew()
        return frames.Done()

    async def _subscribe(self, said: frames.Subscribe) -> frames.Told:
        room_id = parse_uuid(said.room, BAD_ROOM_ID)
        if room_id in self._followed:
            raise InvalidRequest("the room is followed already", field="room")
        if len(self._followed) >= MOST_ROOMS:
            raise InvalidRequest(f"a socket may follow {MOST_ROOMS} rooms", field="room")
        after = position_after(said.after)
        reader = Known(None if self._principal is None else self._principal.id)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def follow() -> None:
            try:
                async with (
                    self._following.follow(
                        room_id, key=said.key, reader=reader, attempts=self._attempts, after=after
                    ) as follower,
                    self._company.joined(room_id, self),
                ):
                    opened.set_result(None)
                    await self._pass_on(room_id, follower)
            except AICQError as error:
                if not opened.done():
                    opened.set_exception(error)

        task = asyncio.create_task(follow())
        self._followed[room_id] = task
        task.add_done_callback(lambda _: self._followed.pop(room_id, None))
        await asyncio.wait([opened, task], return_when=asyncio.FIRST_COMPLETED)
        # Whatever else may have ended it was a mistake of ours, and is raised here.
        await (opened if opened.done() else task)
        return frames.Done()

    async def _pass_on(self, room_id: UUID, follower: Follower) -> None:
        name = str(room_id)
        prefix = b'{"type":"entry","room":"%b","entry":' % name.encode()
        try:
            while True:
                for entry in await follower.next():
                    if isinstance(entry, Event):
                        await self._send_bytes(prefix + entry.data + b"}")
                    else:
                        await self._send(frames.Missing(room=name, first=entry.first, last=entry.last))
        except Ended:
            return
        except AICQError as error:
            await self._send(frames.End(room=name, error=error.sentence))

    async def typing(self, room_id: UUID, actors: Sequence[UUID]) -> None:
        """Tells who types in a room that is followed."""
        await self._send(frames.TypingNow(room=str(room_id), actors=[str(actor) for actor in actors]))

    async def reading(self, room_id: UUID, marks: Sequence[Mark]) -> None:
        """Tells who has read a room that is followed; as with receipts, only to those who have said who they are."""
        if self._principal is not None:
            told = [frames.ReadMark(str(actor), message) for actor, message in marks]
            await self._send(frames.ReadNow(room=str(room_id), marks=told))

    async def _unsubscribe(self, said: frames.Unsubscribe) -> frames.Told:
        room_id = parse_uuid(said.room, BAD_ROOM_ID)
        task = self._followed.pop(room_id, None)
        if task is None:
            raise NotFound("the room is not followed", field="room")
        task.cancel()
        await asyncio.wait([task])  # whoever subscribes again begins anew
        with suppress(HotStoreUnavailable):
            await self._stop_typing(room_id)
        return frames.Done()

    async def _post(self, said: frames.Post) -> frames.Told:
        principal = await self._still()
        await self._admission.admit(
            self._socket, "post", subject=str(principal.id), body_bytes=len(said.body.encode(errors="replace"))
        )
        stored = await self._messages.post(
            principal,
            parse_uuid(said.room, BAD_ROOM_ID),
            body=said.body,
            pid=said.pid,
            sig=said.sig,
            key=said.key,
            attempts=self._attempts,
            as_member=True,
        )
        POSTED.labels("public" if stored.public else "private").inc()
        with suppress(HotStoreUnavailable):
            await self._stop_typing(stored.draft.room_id)
        return frames.Posted(id=stored.ulid, ts=stored.ts)

    async def _type(self, said: frames.Typing) -> frames.Told:
        principal, room_id = self._known(), parse_uuid(said.room, BAD_ROOM_ID)
        if room_id not in self._followed:
            raise NotFound("the room is not followed", field="room")
        if said.is_typing:
            self._typing_in.add(room_id)
            await self._company.type(room_id, principal.id, is_typing=True, now=now_ms())
        else:
            await self._stop_typing(room_id)
        return frames.Done()

    async def _stop_typing(self, room_id: UUID) -> None:
        """Ends the typing that was said over this socket."""
        if self._principal is not None and room_id in self._typing_in:
            self._typing_in.discard(room_id)
            await self._company.type(room_id, self._principal.id, is_typing=False, now=now_ms())

    async def _read(self, said: frames.Read) -> frames.Told:
        principal, room_id = await self._still(), parse_uuid(said.room, BAD_ROOM_ID)
        await self._admission.admit(self._socket, "write", subject=str(principal.id))
        proof = await self._rooms.proof(room_id, said.key, self._attempts)
        message_id = from_ulid(said.id)
        async with self._database.transaction() as session:
            view = await ReceiptService(session).mark_as_read(principal, room_id, message_id, proof=proof)
        await self._company.read(room_id, principal.id, to_ulid(view.last_read or message_id), now=now_ms())
        return frames.Done()

    async def _tell_presence(self, said: frames.Presence) -> frames.Told:
        self._known()
        actors = [parse_uuid(actor, "invalid actor ID format") for actor in said.actors]
        present = await self._presence.present(actors, now=now_ms())
        return frames.Present(actors=[str(actor) for actor, is_there in zip(actors, present, strict=True) if is_there])

    async def _answer(self, _: frames.Ping) -> frames.Told:
        return frames.Answered()

    async def _nothing(self, _: frames.Pong) -> None:
        return None

    async def _renew(self) -> None:
        """Says that the actor is there, and sees whether their token still holds."""
        if self._principal is None:
            return
        now = now_ms()
        with suppress(HotStoreUnavailable):
            await self._presence.keep_open([(self._principal.id, self._id)], now=now)
            await self._presence.see([self._principal.id], at=self._id, now=now)
            if self._principal.kind == "agent":
                await self._presence.see_agents([self._principal.id], now=now)

    async def _still(self) -> Principal:
        """Who this is, if their token still holds; a token that was revoked opens nothing from that moment on."""
        if self._principal is None:
            raise NotAuthenticated("say who you are first, by `auth`")
        return await self._bearers.principal(self._token, now=now_ms())

    def _known(self) -> Principal:
        if self._principal is None:
            raise NotAuthenticated("say who you are first, by `auth`")
        return self._principal

    async def _watch(self) -> None:
        """Keeps presence up and ends the socket of somebody whose token does not hold any more, or with the process."""
        drain: asyncio.Event = self._socket.app.state.drain
        while True:
            try:
                async with asyncio.timeout(RENEW_EVERY):
                    await drain.wait()
                return await self.close(RESTARTING, "the service restarts")
            except TimeoutError:
                await self._renew()
            if self._principal is not None:
                try:
                    await self._still()
                except NotAuthenticated as error:
                    return await self.close(UNAUTHORIZED, error.sentence)
                except AICQError:
                    continue

    async def _send(self, told: frames.Told) -> None:
        await self._send_bytes(encode(told))

    async def _send_bytes(self, frame: bytes) -> None:
        try:
            async with self._sending, asyncio.timeout(STUCK_AFTER):
                await self._socket.send_data(frame, mode="text")
        except TimeoutError:
            await self.close(TRY_LATER, "reads too slowly")

    _ANSWERS: ClassVar[dict[type, Callable[[Any, Any], Awaitable[frames.Told | None]]]] = {
        frames.Auth: _authenticate,
        frames.Subscribe: _subscribe,
        frames.Unsubscribe: _unsubscribe,
        frames.Post: _post,
        frames.Typing: _type,
        frames.Read: _read,
        frames.Presence: _tell_presence,
        frames.Ping: _answer,
        frames.Pong: _nothing,
    }
