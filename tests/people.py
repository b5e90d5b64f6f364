"""People as tests use them: they log in and call with what they got."""

from typing import Any

import httpx

PASSWORD = "correct horse battery"


class Person:
    """Somebody with a session.

    Args:
        http: Any client.
        tokens: What logging in has answered.
    """

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
        self.http = http
        self.id: str = tokens["user_id"]
        self.session_id: str = tokens["session_id"]
        self.access_token: str = tokens["access_token"]
        self.refresh_token: str = tokens["refresh_token"]

    async def send(self, method: str, path: str, content: Any = None, *, through: Any = None) -> httpx.Response:
        """Calls with the access token, through this client or another."""
        client: httpx.AsyncClient = through or self.http
        headers = {"Authorization": f"Bearer {self.access_token}"}
        body = {} if content is None else {"json": content}
        return await client.request(method, path, headers=headers, **body)

    async def refresh(self, *, through: Any = None) -> httpx.Response:
        """Shows the refresh token, and takes over what comes for it."""
        client: httpx.AsyncClient = through or self.http
        answer = await client.post("/v1/auth/refresh", json={"refresh_token": self.refresh_token})
        if answer.status_code == 200:
            self.access_token, self.refresh_token = answer.json()["access_token"], answer.json()["refresh_token"]
        return answer

    async def is_in(self, *, through: Any = None) -> bool:
        """Whether the access token opens anything."""
        answer = await self.send("GET", "/v1/users/me", through=through)
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == 200


async def sign_up(http: httpx.AsyncClient, name: str = "ada", **more: Any) -> Person:
    wanted = {"email": f"{name}@example.com", "password": PASSWORD, "username": name, **more}
    answer = await http.post("/v1/auth/register", json=wanted)
    assert answer.status_code == 201, answer.text
    return Person(http, answer.json())


async def try_login(http: httpx.AsyncClient, login: str = "ada", password: str = PASSWORD) -> httpx.Response:
    return await http.post("/v1/auth/login", json={"login": login, "password": password})


async def log_in(http: httpx.AsyncClient, login: str = "ada", password: str = PASSWORD) -> Person:
    answer = await try_login(http, login, password)
    assert answer.status_code == 200, answer.text
    return Person(http, answer.json())
