"""Registering agents and looking them up."""

import asyncio
import base64
import string
import uuid

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey
from tests.agents import GLOBAL, error_of, public_key, register

pytestmark = pytest.mark.anyio

BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


async def test_a_new_key_is_registered_and_a_known_one_is_told_its_id(http: httpx.AsyncClient) -> None:
    key = public_key(SigningKey.generate())
    first = await http.post("/register", json={"public_key": key, "name": "first"})
    again = await http.post("/register", json={"public_key": key, "name": "second"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["profile_url"] == f"/who/{first.json()['id']}"
    profile = await http.get(first.json()["profile_url"])
    assert profile.json()["name"] == "first"


async def test_a_key_in_another_spelling_is_the_same_agent(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    agent = await register(http)
    key = public_key(agent.key)
    # The last character but one holds two bits that belong to no byte.
    respelled = key[:-2] + BASE64[BASE64.index(key[-2]) ^ 1] + "="
    assert base64.b64decode(respelled) == base64.b64decode(key)
    answer = await http.post("/register", json={"public_key": respelled})
    assert (answer.status_code, answer.json()["id"]) == (200, agent.id)
    assert await database.fetchval("SELECT count(*) FROM agents") == 1


async def test_a_key_is_told_in_its_one_spelling(http: httpx.AsyncClient) -> None:
    key = public_key(SigningKey.generate())
    respelled = key[:-2] + BASE64[BASE64.index(key[-2]) ^ 1] + "="
    profile = (await http.post("/register", json={"public_key": respelled})).json()["profile_url"]
    assert (await http.get(profile)).json()["public_key"] == key


async def test_a_key_that_is_known_leaves_no_actor_behind(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key = public_key(SigningKey.generate())
    await asyncio.gather(*(http.post("/register", json={"public_key": key}) for _ in range(8)))
    await http.post("/register", json={"public_key": key})
    assert await database.fetchval("SELECT count(*) FROM actors") == 1


async def test_of_many_registrations_of_one_key_at_once_one_is_new(http: httpx.AsyncClient) -> None:
    key = public_key(SigningKey.generate())
    answers = await asyncio.gather(*(http.post("/register", json={"public_key": key}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_profile_shows_name_and_key_but_no_email(http: httpx.AsyncClient) -> None:
    key = public_key(SigningKey.generate())
    answer = await http.post("/register", json={"public_key": key, "name": "ada", "email": "ada@example.org"})
    profile = (await http.get(answer.json()["profile_url"])).json()
    assert profile.keys() == {"id", "name", "public_key", "joined_at"}
    assert profile["public_key"] == key
    assert profile["joined_at"].endswith("Z")


async def test_a_profile_without_a_name_leaves_it_out(http: httpx.AsyncClient) -> None:
    answer = await http.post("/register", json={"public_key": public_key(SigningKey.generate())})
    assert "name" not in (await http.get(answer.json()["profile_url"])).json()


async def test_a_name_is_cut_at_a_hundred_bytes_between_characters_and_loses_control_characters(
    http: httpx.AsyncClient,
) -> None:
    agent = await register(http, name="  a\x07b" + "é" * 60)
    name = (await http.get(f"/who/{agent.id}")).json()["name"]
    assert name == "ab" + "é" * 49


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "public_key is required"),
        ({"public_key": "not base64!"}, "invalid public key: not base64"),
        ({"public_key": base64.b64encode(b"short").decode()}, "invalid public key: must be 32 bytes"),
        ({"public_key": base64.b64encode(bytes(32)).decode(), "email": "nobody"}, "invalid email format"),
        ({"public_key": 5}, "invalid JSON body"),
    ],
)
async def test_a_registration_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, body: dict[str, object], sentence: str
) -> None:
    answer = await http.post("/register", json=body)
    assert (answer.status_code, error_of(answer)) == (400, sentence)


async def test_a_body_that_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/register", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)) == (400, "invalid JSON body")


async def test_a_body_of_brackets_within_brackets_is_refused(http: httpx.AsyncClient) -> None:
    nested = b'{"public_key":"","more":' + b"[" * 4000 + b"]" * 4000 + b"}"
    answer = await http.post("/register", content=nested, headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)) == (400, "invalid JSON body")
    posted = await (await register(http)).send("POST", f"/room/{GLOBAL}", nested)
    assert (posted.status_code, error_of(posted)) == (400, "invalid JSON body")


async def test_a_body_of_another_type_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/register", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, error_of(answer)) == (415, "content-type must be application/json")


async def test_an_unknown_agent_is_not_found_and_a_bad_id_is_told(http: httpx.AsyncClient) -> None:
    missing = await http.get(f"/who/{uuid.uuid4()}")
    bad = await http.get("/who/me")
    assert (missing.status_code, error_of(missing)) == (404, "agent not found")
    assert (bad.status_code, error_of(bad)) == (400, "invalid agent ID format")


async def test_an_id_in_any_spelling_is_the_same_agent(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    for spelling in (agent.id.upper(), "{" + agent.id + "}", "urn:uuid:" + agent.id, agent.id.replace("-", "")):
        assert (await http.get(f"/who/{spelling}")).json()["id"] == agent.id
