"""Sessions: what begins one, what goes on, what ends it, on every worker at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import pytest

from aicq.auth.passwords import Passwords
from aicq.auth.tokens import LIFE as ACCESS_LIFE
from aicq.auth.tokens import AccessTokens, Bearers
from aicq.clock import from_ms
from aicq.db.plugin import Database
from aicq.errors import TokenExpired, TokenRevoked
from aicq.identity.repositories import SessionRepository, UserRepository
from aicq.identity.services.credentials import Credentials
from aicq.identity.services.directory import ActorStandings
from aicq.identity.services.sessions import LIFE, Grant, SessionService
from aicq.origin import Origin
from aicq.settings import Settings
from tests.agents import error_of
from tests.people import PASSWORD, Person, log_in, sign_up, try_login

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_a_refresh_token_gets_two_new_ones(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    first = ada.refresh_token
    assert (await ada.refresh()).status_code == 200
    assert ada.refresh_token != first
    assert await ada.is_in()
    assert (await ada.refresh()).status_code == 200


async def test_a_refresh_token_shown_twice_ends_its_session(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    stolen = Person(http, vars(ada) | {"user_id": ada.id})
    elsewhere = await log_in(http)
    await ada.refresh()
    answer = await stolen.refresh()
    assert answer.status_code == 401
    assert error_of(answer) == "token revoked"
    assert not await ada.is_in()
    assert (await ada.refresh()).status_code == 401
    assert await elsewhere.is_in()
    because = await database.fetchval("SELECT revoked_because FROM sessions WHERE id = $1::text::uuid", ada.session_id)
    assert because == "token used twice"


async def test_of_many_who_refresh_at_once_one_succeeds_and_the_session_ends(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    body = {"refresh_token": ada.refresh_token}
    answers = await asyncio.gather(*(http.post("/v1/auth/refresh", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    assert not await ada.is_in()


@pytest.mark.parametrize("forged", ["x", "aicq_refresh_", "aicq_refresh_" + "A" * 64, "é", "%"])
async def test_a_refresh_token_that_was_never_ours_ends_nothing(http: httpx.AsyncClient, forged: str) -> None:
    ada = await sign_up(http)
    answer = await http.post("/v1/auth/refresh", json={"refresh_token": forged})
    assert (answer.status_code, error_of(answer)) == (401, "invalid refresh token")
    assert await ada.is_in()


async def test_knowing_a_sessions_id_ends_nothing(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    other = await sign_up(http, "eve")
    own = ada.refresh_token.removeprefix("aicq_refresh_")
    forged = "aicq_refresh_" + own[:21] + other.refresh_token.removeprefix("aicq_refresh_")[21:]
    assert (await http.post("/v1/auth/refresh", json={"refresh_token": forged})).status_code == 401
    assert await ada.is_in()


async def test_nothing_a_caller_brings_becomes_part_of_a_session(http: httpx.AsyncClient) -> None:
    mallory = await sign_up(http, "mallory")
    await sign_up(http, "ada")
    http.cookies.set("session", mallory.session_id)
    answer = await http.post(
        "/v1/auth/login",
        json={"login": "ada", "password": "correct horse battery"},
        headers={"Authorization": f"Bearer {mallory.access_token}"},
    )
    ada = Person(http, answer.json())
    assert ada.session_id != mallory.session_id
    assert "set-cookie" not in answer.headers
    refused = await http.post("/v1/auth/login", json={"login": "ada", "password": "x", "session_id": str(UUID(int=1))})
    assert (refused.status_code, refused.json()["field"]) == (422, "session_id")


async def test_logging_out_ends_the_session_on_every_worker(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    ada = await sign_up(http)
    assert await ada.is_in(through=another_worker)
    assert (await ada.send("POST", "/v1/auth/logout")).status_code == 204
    for worker in (http, another_worker):
        answer = await ada.send("GET", "/v1/users/me", through=worker)
        assert (answer.status_code, error_of(answer)) == (401, "token revoked")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await ada.refresh(through=worker)).status_code == 401


async def test_a_session_is_refreshed_on_any_worker(http: httpx.AsyncClient, another_worker: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    assert (await ada.refresh(through=another_worker)).status_code == 200
    assert await ada.is_in()


async def test_one_session_is_ended_from_another_on_every_worker(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    ada = await sign_up(http)
    elsewhere = await log_in(another_worker)
    assert (await ada.send("DELETE", f"/v1/auth/sessions/{elsewhere.session_id}")).status_code == 204
    assert not await elsewhere.is_in()
    assert not await elsewhere.is_in(through=http)
    assert await ada.is_in()
    again = await ada.send("DELETE", f"/v1/auth/sessions/{elsewhere.session_id}")
    assert (again.status_code, error_of(again)) == (404, "session not found")


async def test_all_sessions_are_ended_at_once(http: httpx.AsyncClient, another_worker: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    elsewhere = await log_in(another_worker)
    assert (await ada.send("DELETE", "/v1/auth/sessions")).status_code == 204
    assert not await ada.is_in(through=another_worker)
    assert not await elsewhere.is_in()


async def test_nobody_ends_anothers_session(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    eve = await sign_up(http, "eve")
    assert (await eve.send("DELETE", f"/v1/auth/sessions/{ada.session_id}")).status_code == 404
    assert await ada.is_in()


async def test_whatever_is_done_to_an_account_at_once_is_done(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    sessions = [await log_in(http) for _ in range(4)]
    passwords = {"old_password": PASSWORD, "new_password": PASSWORD}
    answers = await asyncio.gather(
        *(try_login(http) for _ in range(4)),
        *(session.refresh() for session in sessions),
        *(ada.send("PATCH", "/v1/users/me", {"status": status}) for status in ("busy", "away", "online")),
        ada.send("PUT", "/v1/users/me/password", passwords),
    )
    assert {answer.status_code for answer in answers} <= {200, 204, 401}, [answer.text for answer in answers]
    assert await database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


async def test_sessions_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    await sign_up(http, "eve")
    ids = [ada.session_id, *[(await log_in(http)).session_id for _ in range(2)]]
    first = (await ada.send("GET", "/v1/auth/sessions?limit=2")).json()
    rest = (await ada.send("GET", f"/v1/auth/sessions?limit=2&cursor={first['next']}")).json()
    assert [session["id"] for session in first["items"] + rest["items"]] == sorted(ids)
    assert rest["next"] is None
    assert [session["id"] for session in first["items"] + rest["items"] if session["is_current"]] == [ada.session_id]
    assert first["items"][0]["ip"] == "127.0.0.1"
    assert first["items"][0]["user_agent"].startswith("python-httpx")


@pytest.mark.parametrize("token", ["x", "a.b.c", "", "é"])
async def test_a_token_that_is_none_opens_nothing(http: httpx.AsyncClient, token: str) -> None:
    answer = await http.get("/v1/users/me", headers=[(b"authorization", f"Bearer {token}".encode())])
    assert answer.status_code == 401


async def test_a_token_signed_with_nothing_or_by_others_opens_nothing(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    told = jwt.decode(ada.access_token, options={"verify_signature": False})
    for forged in (jwt.encode(told, "", algorithm="none"), jwt.encode(told, "x" * 32, algorithm="HS256")):
        answer = await http.get("/v1/users/me", headers={"Authorization": f"Bearer {forged}"})
        assert (answer.status_code, error_of(answer)) == (401, "invalid token")


NOW = 1_800_000_000_000
ORIGIN = Origin("user", address="127.0.0.1")


class House:
    """The service of sessions, with the time in the test's hands.

    Args:
        settings: The secret key.
        database: Postgres.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        tokens = AccessTokens(settings.secret_key)
        self.bearers = Bearers(tokens, ActorStandings(database))
        self.sessions = database.sessions
        self.passwords = Passwords()
        credentials = Credentials(database.sessions, self.passwords)
        self.service = SessionService(database.sessions, credentials, tokens, settings.secret_key)

    async def begin(self) -> Grant:
        """A session of somebody new, begun at NOW."""
        async with self.sessions.begin() as session:
            user = await UserRepository(session).create(uuid4(), username="ada", email="ada@x.io")
            return await self.service.begin(session, user.id, ORIGIN, now=NOW)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    database = Database(settings)
    await database.open()
    house = House(settings, database)
    yield house
    house.passwords.close()
    await database.config.get_engine().dispose()
    await database.close()


async def test_an_access_token_is_good_for_a_quarter_of_an_hour(house: House) -> None:
    grant = await house.begin()
    principal = await house.bearers.principal(grant.access_token, now=NOW + ACCESS_LIFE - 1)
    assert (principal.id, principal.session_id, principal.role) == (grant.user_id, grant.session_id, "user")
    with pytest.raises(TokenExpired):
        await house.bearers.principal(grant.access_token, now=NOW + ACCESS_LIFE)


async def test_a_session_that_nobody_refreshes_is_over_after_thirty_days(house: House) -> None:
    grant = await house.begin()
    with pytest.raises(TokenRevoked):
        await house.service.refresh(grant.refresh_token, ORIGIN, now=NOW + LIFE)
    assert (await house.service.refresh(grant.refresh_token, ORIGIN, now=NOW + LIFE - 1)).session_id == grant.session_id


async def test_a_session_that_is_refreshed_lasts_thirty_days_from_then(house: House) -> None:
    grant = await house.begin()
    later = NOW + LIFE - 1000
    grant = await house.service.refresh(grant.refresh_token, ORIGIN, now=later)
    assert grant.expires_at == later + LIFE
    await house.bearers.principal(grant.access_token, now=later + ACCESS_LIFE - 1)
    await house.service.refresh(grant.refresh_token, ORIGIN, now=later + LIFE - 1)


async def test_an_access_token_does_not_outlive_its_session(house: House, database: Connection) -> None:
    grant = await house.begin()
    await database.execute("UPDATE sessions SET expires_at = $1", from_ms(NOW + 1000))
    with pytest.raises(TokenRevoked):
        await house.bearers.principal(grant.access_token, now=NOW + 1000)


async def test_sessions_that_are_over_are_not_listed_and_are_dropped(house: House, database: Connection) -> None:
    grant = await house.begin()
    principal = await house.bearers.principal(grant.access_token, now=NOW)
    assert len(await house.service.list_live(principal, after=None, limit=10, now=NOW + LIFE - 1)) == 1
    assert await house.service.list_live(principal, after=None, limit=10, now=NOW + LIFE) == []
    async with house.sessions.begin() as session:
        assert await SessionRepository(session).drop_dead(before=from_ms(NOW + LIFE)) == 0
        assert await SessionRepository(session).drop_dead(before=from_ms(NOW + LIFE + 1)) == 1
    assert await database.fetchval("SELECT count(*) FROM sessions") == 0
