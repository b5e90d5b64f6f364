"""Accounts: making one, getting in, changing it, ending it."""

import asyncio
import time
from typing import TypeAlias
from uuid import UUID

import asyncpg
import bcrypt
import httpx
import pytest
from litestar import Litestar

from aicq.clock import now_ms
from aicq.hot.plugin import HotStorePlugin
from aicq.hot.presence import Presence
from tests.agents import error_of, register
from tests.messaging.conftest import locked, until_blocked
from tests.people import PASSWORD, Person, log_in, sign_up, try_login

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_somebody_who_registers_is_in(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http, display_name="Ada L.")
    account = (await ada.send("GET", "/v1/users/me")).json()
    assert account["id"] == ada.id
    assert (account["username"], account["email"], account["display_name"]) == ("ada", "ada@example.com", "Ada L.")
    assert (account["role"], account["status"]) == ("user", "offline")


async def test_no_answer_tells_a_secret(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    shown = (await ada.send("GET", "/v1/users/me")).text + (await ada.send("GET", "/v1/auth/sessions")).text
    kept = await database.fetchrow("SELECT u.password_hash, s.token_hash FROM users u, sessions s")
    assert kept is not None
    assert not [secret for secret in (*kept, PASSWORD, ada.refresh_token, ada.access_token) if secret in shown]


async def test_a_password_is_kept_as_a_hash_of_twelve_rounds(http: httpx.AsyncClient, database: Connection) -> None:
    await sign_up(http)
    kept = await database.fetchval("SELECT password_hash FROM users")
    assert kept.startswith("$2b$12$")
    assert bcrypt.checkpw(PASSWORD.encode(), kept.encode())


async def test_without_a_username_the_emails_first_part_is_one(http: httpx.AsyncClient) -> None:
    names = []
    for email in ("Ada.L+x@example.com", "ada.l+x@example.org", "é@example.com"):
        answer = await http.post("/v1/auth/register", json={"email": email, "password": PASSWORD})
        names.append((await Person(http, answer.json()).send("GET", "/v1/users/me")).json()["username"])
    assert names == ["Ada.L-x", "ada.l-x-2", "user"]


@pytest.mark.parametrize(("taken", "field"), [({"username": "eve"}, "email"), ({"email": "e@x.io"}, "username")])
async def test_an_email_and_a_username_belong_to_one_in_any_case(
    http: httpx.AsyncClient, taken: dict[str, str], field: str
) -> None:
    await sign_up(http)
    wanted = {"email": "ADA@example.com", "username": "ADA", "password": PASSWORD} | taken
    answer = await http.post("/v1/auth/register", json=wanted)
    assert answer.status_code == 409
    assert error_of(answer) == f"{field} is taken already"
    assert answer.json()["field"] == field


async def test_of_many_who_want_a_name_at_once_one_gets_it(http: httpx.AsyncClient, database: Connection) -> None:
    wanted = [{"email": f"{n}@x.io", "username": "ada", "password": PASSWORD} for n in range(4)]
    answers = await asyncio.gather(*(http.post("/v1/auth/register", json=each) for each in wanted))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await database.fetchval("SELECT count(*) FROM actors") == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "ada"}, "email"),
        ({"email": "ada@x.io\n"}, "email"),
        ({"email": None}, "email"),
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "a" * 73}, "password"),
        ({"password": "é" * 37}, "password"),
        ({"password": "a\x00aaaaaaa"}, "password"),
        ({"display_name": "\n"}, "display_name"),
        ({"role": "admin"}, "role"),
        ({"id": "1"}, "id"),
    ],
)
async def test_what_cannot_be_an_account_is_told_with_its_field(
    http: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    wanted = {"email": "ada@example.com", "password": PASSWORD} | wrong
    answer = await http.post("/v1/auth/register", json=wanted)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert error_of(answer)


async def test_a_password_of_72_bytes_is_not_too_long(http: httpx.AsyncClient) -> None:
    await sign_up(http, password="é" * 36)
    assert (await try_login(http, password="é" * 36)).status_code == 200


async def test_a_password_over_72_bytes_is_refused_with_the_limit(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/auth/register", json={"email": "a@x.io", "password": "a" * 73})
    assert error_of(answer) == "password too long (max 72 bytes)"


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.com", "Ada@Example.Com"])
async def test_somebody_logs_in_by_name_or_email_in_any_case(http: httpx.AsyncClient, login: str) -> None:
    await sign_up(http)
    assert await (await log_in(http, login)).is_in()


@pytest.mark.parametrize(("login", "password"), [("ada", "wrong password"), ("eve", PASSWORD), ("ada", "a" * 73)])
async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(
    http: httpx.AsyncClient, login: str, password: str
) -> None:
    await sign_up(http)
    answer = await try_login(http, login, password)
    assert answer.status_code == 401
    assert error_of(answer) == "wrong name or password"


async def test_a_user_without_a_password_does_not_log_in(http: httpx.AsyncClient, database: Connection) -> None:
    await database.execute("INSERT INTO users (username, email) VALUES ('ada', 'ada@example.com')")
    assert (await try_login(http)).status_code == 401


async def test_unknown_users_take_as_long_as_wrong_passwords(http: httpx.AsyncClient) -> None:
    await sign_up(http)
    seconds: dict[str, list[float]] = {"ada": [], "nobody": []}
    for _ in range(5):
        for login, times in seconds.items():
            began = time.process_time()
            assert (await try_login(http, login, "wrong password")).status_code == 401
            times.append(time.process_time() - began)
    known, unknown = min(seconds["ada"]), min(seconds["nobody"])
    assert abs(known - unknown) < 0.25 * known


async def test_an_account_that_is_not_active_is_out_at_once(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    await database.execute("UPDATE users SET is_active = false")
    assert not await ada.is_in()
    assert (await ada.refresh()).status_code == 401
    assert (await try_login(http)).status_code == 401


async def test_a_profile_is_changed_by_its_user(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    change = {
        "display_name": "Countess",
        "status": "busy",
        "avatar_url": "https://x.io/a.png",
        "preferences": {"theme": "dark"},
    }
    answer = await ada.send("PATCH", "/v1/users/me", change)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in change} == change
    assert (await ada.send("PATCH", "/v1/users/me", {})).json() == answer.json()
    assert (await ada.send("PATCH", "/v1/users/me", {"display_name": None})).json()["display_name"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"role": "admin"}, "role"),
        ({"password_hash": "x"}, "password_hash"),
        ({"status": "here"}, "status"),
        ({"avatar_url": "javascript:alert(1)"}, "avatar_url"),
        ({"username": None}, "username"),
    ],
)
async def test_what_nobody_may_set_themselves_is_refused(
    http: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    ada = await sign_up(http)
    answer = await ada.send("PATCH", "/v1/users/me", wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_others_see_a_person_as_offline_unless_they_were_seen_lately(
    http: httpx.AsyncClient, app: Litestar, database: Connection
) -> None:
    ada, scout = await sign_up(http, display_name="Ada L."), await register(http)
    await database.execute("UPDATE users SET status = 'busy'")
    shown = (await scout.send("GET", f"/v1/users/{ada.id}")).json()
    assert (shown["username"], shown["display_name"], shown["status"]) == ("ada", "Ada L.", "offline")
    assert "email" not in shown
    now = now_ms()
    presence = Presence(app.plugins.get(HotStorePlugin).store)
    await presence.see([UUID(ada.id)], at="here", now=now)
    assert (await scout.send("GET", f"/v1/users/{ada.id}")).json()["status"] == "busy"
    await presence.leave(UUID(ada.id), at="here")
    assert (await scout.send("GET", f"/v1/users/{ada.id}")).json()["status"] == "offline"
    assert (await scout.send("GET", f"/v1/users/{scout.id}")).status_code == 404
    assert (await http.get(f"/v1/users/{ada.id}")).status_code == 401


async def test_a_person_was_last_seen_when_they_logged_in(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    await database.execute("UPDATE users SET last_seen_at = NULL")
    await ada.refresh()
    assert await database.fetchval("SELECT last_seen_at > now() - interval '1 minute' FROM users")


async def test_nobody_takes_anothers_name(http: httpx.AsyncClient) -> None:
    await sign_up(http, "eve")
    ada = await sign_up(http)
    answer = await ada.send("PATCH", "/v1/users/me", {"username": "Eve"})
    assert (answer.status_code, answer.json()["field"]) == (409, "username")


async def test_another_password_ends_all_other_sessions(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    elsewhere = await log_in(http)
    passwords = {"old_password": PASSWORD, "new_password": "another password"}
    assert (await ada.send("PUT", "/v1/users/me/password", passwords)).status_code == 204
    assert await ada.is_in()
    assert not await elsewhere.is_in()
    assert (await try_login(http)).status_code == 401
    assert await (await log_in(http, password="another password")).is_in()


async def test_another_password_needs_the_old_one(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    passwords = {"old_password": "a wrong one", "new_password": "another password"}
    answer = await ada.send("PUT", "/v1/users/me/password", passwords)
    assert (answer.status_code, answer.json()["field"]) == (403, "old_password")
    assert (await try_login(http)).status_code == 200


async def test_of_two_who_change_a_password_at_once_one_does(
    http: httpx.AsyncClient, database: Connection, database_url: str
) -> None:
    ada = await sign_up(http)
    async with locked(database_url, "users"):
        changing = [
            asyncio.create_task(
                ada.send("PUT", "/v1/users/me/password", {"old_password": PASSWORD, "new_password": f"password {n}"})
            )
            for n in range(2)
        ]
        await until_blocked(database, count=2)
    assert sorted(answer.status_code for answer in await asyncio.gather(*changing)) == [204, 403]


async def test_a_deleted_user_is_gone_and_their_anchor_stays(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    assert (await ada.send("DELETE", "/v1/users/me", {"password": "a wrong one"})).status_code == 403
    assert (await ada.send("DELETE", "/v1/users/me", {"password": PASSWORD})).status_code == 204
    assert not await ada.is_in()
    assert (await try_login(http)).status_code == 401
    assert await database.fetchval("SELECT deleted_at IS NOT NULL FROM actors WHERE id = $1::text::uuid", ada.id)
    await sign_up(http)


async def test_who_owns_a_team_is_told_so_when_they_want_to_go(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    await database.execute("INSERT INTO teams (name, slug, owner_id) SELECT 'Red', 'red', id FROM users")
    answer = await ada.send("DELETE", "/v1/users/me", {"password": PASSWORD})
    assert answer.status_code == 409
    assert "team" in error_of(answer)
    assert await ada.is_in()


async def test_an_agents_token_opens_no_account(http: httpx.AsyncClient) -> None:
    scout = await register(http)
    token = (await scout.send("POST", "/v1/auth/token")).json()["access_token"]
    answer = await http.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert error_of(answer) == "a person's token is required"


async def test_registering_and_changing_are_in_the_audit_log(http: httpx.AsyncClient, database: Connection) -> None:
    ada = await sign_up(http)
    await ada.send("PATCH", "/v1/users/me", {"status": "busy", "display_name": "Ada"})
    await log_in(http)
    await ada.send("DELETE", "/v1/users/me", {"password": PASSWORD})
    rows = await database.fetch("SELECT * FROM audit_logs WHERE actor_id = $1::text::uuid ORDER BY seq", ada.id)
    assert [row["action"] for row in rows] == [
        "users.register",
        "sessions.create",
        "users.change",
        "sessions.create",
        "users.delete",
    ]
    told = "".join(f"{row['old_values']}{row['new_values']}" for row in rows)
    assert "busy" in told
    assert not [secret for secret in ("ada@example.com", '"Ada"', "$2b$") if secret in told]
