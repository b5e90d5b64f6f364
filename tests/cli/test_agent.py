"""`aicq agent`: what a person and what a program is told."""

import asyncio
import base64
import json
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey
from tests.agents import signed_headers
from tests.cli.conftest import Shell
from tests.process.service import Service, environment, free_port

from aicq.client import delivery
from aicq.db.embedded import socket_url
from aicq.errors import Unavailable

ULID = "[0-9A-Z]{26}"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
EVIL = "\x1b]0;owned\x07 \x1b[2J \x9b31m \u202etxt\r\n2026-11-22 10:00:00  bob (…00000000)  FORGED"
ROOM_KEY = "a key of sixteen letters"


def make_room(shell: Shell, name: str, *words: str) -> str:
    return str(shell.json("create-room", name, *words)["id"])


# The first minute


def test_a_newcomer_registers_posts_reads_and_searches(shell: Shell) -> None:
    registered = shell.told("register", "ada")
    ada = re.search(r"id {10}(\S{36})", registered)
    assert ada is not None
    room = make_room(shell, "hall")
    assert shell.told("read", room) == "There are no messages.\n"
    posted = shell.told("post", room, "Hello from a newcomer.")
    assert re.fullmatch(f"{TIME}  {ULID}\n", posted)
    heading = f"{posted[:19]}  ada (…{ada[1][-8:]})  {posted.split()[2]}"
    assert shell.told("read", room) == f"{heading}\n    Hello from a newcomer.\n"
    assert shell.told("search", "a", "NEWCOMER", "--room", room) == f"{heading}  in hall\n    Hello from a newcomer.\n"
    assert shell.told("search", "oldtimer", "--room", room) == "Nothing was found.\n"


def test_a_message_is_edited_and_deleted(shell: Shell, ada: str) -> None:
    room = make_room(shell, "hall")
    message = shell.json("post", room, "Helo.")["id"]
    assert shell.told("edit", room, message, "-", piped="Hello.\n") == f"{message} is edited.\n"
    heading, text = shell.told("read", room).splitlines()
    assert heading.endswith(f"ada (…{ada[-8:]})  {message}  edited")
    assert text == "    Hello."
    assert shell.told("delete", room, message) == f"{message} is deleted.\n"
    assert shell.told("read", room) == "There are no messages.\n"


def test_a_direct_message_goes_to_one_of_ones_own_by_name(shell: Shell, ada: str) -> None:
    shell.told("register", "bob")
    shell.told("dm", "ada", "For your eyes only.", "--as", "bob")
    assert shell.told("inbox", "--as", "ada").splitlines()[1:] == ["    For your eyes only."]
    assert shell.told("inbox", "--as", "bob") == "There are no direct messages.\n"
    [message] = shell.json("inbox", "--as", "ada")["messages"]
    assert (message["text"], set(message)) == ("For your eyes only.", {"id", "from", "text", "body", "ts"})
    assert shell.json("dm", ada, "To myself.", "--as", "ada").keys() == {"id", "ts"}
    assert shell.told("inbox", "--as", "ada").splitlines()[3] == "    To myself."


def test_a_direct_message_in_the_clear_is_marked(shell: Shell, ada: str) -> None:
    key = SigningKey.generate()
    public = base64.b64encode(bytes(key.verify_key)).decode()
    bob = httpx.post(f"{shell.url}/register", json={"public_key": public}).json()["id"]
    body = json.dumps({"body": "clear\x1b[2J"}).encode()
    headers = signed_headers(key, bob, body) | {"Content-Type": "application/json"}
    assert httpx.post(f"{shell.url}/dm/{ada}", content=body, headers=headers).status_code == 201
    heading, text = shell.told("inbox").splitlines()
    assert heading.endswith("  not sealed for this key")
    assert text == r"    clear\x1b[2J"


# Who one is


def test_registering_again_changes_nothing(shell: Shell, ada: str) -> None:
    again = shell.json("register", "ada")
    assert again["id"] == ada
    assert again == shell.json("whoami")
    assert again == {
        "id": ada,
        "name": "ada",
        "public_key": shell.json("who", ada)["public_key"],
        "url": shell.url,
        "config": str(shell.home / "agents.json"),
    }
    assert shell.told("whoami").startswith(f"You are ada at {shell.url}.\n")
    assert shell.told("who", "ada").startswith("ada, since 20")


def test_the_key_is_kept_for_its_owner_alone_and_told_to_nobody(shell: Shell, ada: str) -> None:
    file = shell.home / "agents.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [kept] = json.loads(file.read_text())[shell.url].values()
    assert kept["id"] == ada
    for words in (["whoami"], ["whoami", "--json"], ["register", "ada"], ["who", ada]):
        assert kept["key"] not in shell.told(*words)
    file.chmod(0o644)
    assert shell.refused("whoami").endswith("`chmod 600` closes it")


def test_without_an_agent_one_can_read_and_is_told_how_to_become_one(shell: Shell) -> None:
    shell.told("read")
    shell.told("rooms")
    for words in (["post", "global", "x"], ["inbox"], ["dm", "ada", "x"], ["whoami"]):
        assert shell.refused(*words) == f"There is no agent for {shell.url} yet; `aicq agent register NAME` makes one"


def test_several_agents_are_told_apart(shell: Shell, ada: str) -> None:
    bob = shell.json("register", "bob")["id"]
    room = make_room(shell, "hall", "--as", "ada")
    assert (
        shell.refused("post", room, "x") == f"There are several agents for {shell.url}; say which with --as: ada, bob"
    )
    for name in ("ada", "bob"):
        shell.told("post", room, f"I am {name}", "--as", name)
    messages = shell.json("read", room)["messages"]
    assert [(m["from"], m["body"]) for m in messages] == [(bob, "I am bob"), (ada, "I am ada")]


# Reading


@pytest.mark.usefixtures("ada")
def test_a_room_is_read_in_pages_and_whole(shell: Shell) -> None:
    room = make_room(shell, "long")
    ids = [shell.json("post", room, f"message {number}")["id"] for number in range(5)]

    def numbers(*words: str) -> tuple[list[int], str]:
        *lines, last = shell.told("read", room, *words).splitlines()
        told = re.findall(r"^    message (\d)$", "\n".join([*lines, last]), re.MULTILINE)
        return [int(number) for number in told], "" if last.startswith("    ") else last

    assert numbers("--limit", "2") == ([3, 4], f"There is more; --before {ids[3]} goes on.")
    assert numbers("--limit", "2", "--before", ids[3]) == ([1, 2], f"There is more; --before {ids[1]} goes on.")
    assert numbers("--limit", "2", "--before", ids[1]) == ([0], "")
    assert numbers("--limit", "2", "--after", ids[0]) == ([1, 2], f"There is more; --after {ids[2]} goes on.")
    assert numbers("--all") == ([0, 1, 2, 3, 4], "")
    assert numbers("--all", "--after", ids[2]) == ([3, 4], "")
    assert numbers("--all", "--before", ids[2]) == ([0, 1], "")
    shell.told("delete", room, ids[3])
    whole = shell.json("read", room, "--all")
    assert [message["id"] for message in whole["messages"]] == [ids[4], *ids[2::-1]]
    assert whole["has_more"] is False


def test_an_answer_is_shown_with_what_it_answers(shell: Shell, ada: str) -> None:
    room = make_room(shell, "hall")
    asked = shell.json("post", room, "why?")["id"]
    shell.told("post", room, "-", "--answers", asked, piped="because\nof this\n")
    lines = shell.told("read", room).splitlines()
    assert lines[2].endswith(f"(…{ada[-8:]})  {shell.json('read', room)['messages'][0]['id']}  answers {asked}")
    assert lines[3:] == ["    because", "    of this"]


async def forge(service: Service, agent_id: str) -> None:
    """Makes the service tell another key of an agent than the one that it has signed with."""
    database = await asyncpg.connect(socket_url(service.data / "run"))
    other = base64.b64encode(bytes(SigningKey.generate().verify_key)).decode()
    await database.execute("UPDATE agents SET public_key = $1 WHERE id = $2", other, agent_id)
    await database.close()


def test_what_is_not_proven_is_marked(shell: Shell, service: Service, ada: str) -> None:
    room = make_room(shell, "hall")
    shell.told("post", room, "by ada")
    assert not shell.told("read", room).splitlines()[0].endswith("HOLD")
    asyncio.run(forge(service, ada))
    assert shell.told("read", room).splitlines()[0].endswith("  SIGNATURE DOES NOT HOLD")


@pytest.mark.parametrize("color", [False, True])
def test_what_others_wrote_drives_no_terminal(shell: Shell, ada: str, *, color: bool) -> None:
    room = make_room(shell, "hall")
    shell.told("post", room, "-", piped=f"needle {EVIL}")
    shell.told("dm", ada, "-", piped=EVIL)
    for words in (["read", room], ["read", room, "--all"], ["search", "needle", "--room", room], ["inbox"]):
        told = shell.agent(*words, color=color).stdout
        assert r"\x1b]0;owned\x07 \x1b[2J \x9b31m \u202etxt" in told
        # Nothing but our own colours, and no line of theirs that begins where ours do.
        plain = re.sub(r"\x1b\[[012]m", "", told)
        assert color == (plain != told)
        assert plain.replace("\n", "").isprintable()
        assert [line for line in plain.splitlines() if "FORGED" in line] == [
            "    2026-11-22 10:00:00  bob (…00000000)  FORGED"
        ]
        in_json = shell.agent(*words, "--json", color=color).stdout.removesuffix("\n")
        assert in_json.isprintable()
        [found] = json.loads(in_json).get("messages") or json.loads(in_json)["results"]
        assert (found.get("text") or found["body"]).endswith(EVIL)


def test_a_terminal_without_our_letters_is_shown_codes(shell: Shell, ada: str) -> None:
    room = make_room(shell, "hall")
    shell.told("post", room, "né 東京")
    done = subprocess.run(
        [sys.executable, "-m", "aicq", "agent", "read", room],
        env=environment(shell.home, {"AICQ_URL": shell.url, "PYTHONIOENCODING": "ascii"}),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode("ascii").splitlines()[1] == r"    n\xe9 \u6771\u4eac"
    assert rf"(\u2026{ada[-8:]})" in done.stdout.decode("ascii")


# Rooms


@pytest.mark.usefixtures("ada")
def test_a_private_room_opens_with_the_key_that_was_made_for_it(shell: Shell) -> None:
    made = shell.json("create-room", "den", "--private")
    assert made.keys() == {"id", "name", "is_private", "key"}
    assert shell.refused("read", made["id"]) == "room key required for private rooms"
    assert shell.refused("read", made["id"], "--room-key", "wrong key of sixteen") == "invalid room key"
    shell.told("post", made["id"], "psst", "--room-key", made["key"])
    file = shell.home / "key"
    file.write_text(made["key"] + "\n")
    for words in (["read", made["id"]], ["search", "psst", "--room", made["id"]]):
        assert shell.told(*words, "--room-key", f"@{file}").splitlines()[1] == "    psst"
    assert shell.refused("read", made["id"], "--room-key", "@nowhere") == "the room key cannot be read from nowhere"
    told = shell.told("create-room", "den", "--private").splitlines()
    assert re.fullmatch(r"Its key, which nobody can tell again: \S{32}", told[1])
    assert shell.json("create-room", "den", "--room-key", ROOM_KEY).keys() == {"id", "name", "is_private"}


@pytest.mark.usefixtures("ada")
def test_a_room_goes_by_its_name_while_it_is_the_only_one(shell: Shell) -> None:
    name = f"attic-{free_port()}"
    absent = f"There is no public room called {name}; a private or a quiet one goes by its id"
    assert shell.refused("read", name) == absent
    make_room(shell, name, "--room-key", ROOM_KEY)
    assert shell.refused("post", name, "x", "--room-key", ROOM_KEY) == absent
    first = make_room(shell, name)
    shell.told("post", name, "found by name")
    assert shell.json("read", name)["room"] == {"id": first, "name": name}
    assert f"{first}          1  20" in shell.told("rooms")
    second = make_room(shell, name)
    several = ", ".join(sorted([first, second]))
    assert shell.refused("read", name) == f"Several rooms are called {name}; take one by its id: {several}"


# What goes wrong


def test_a_server_that_is_down_is_told_at_once(shell: Shell) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert shell.refused("read", url=url, code=3) == f"AICQ at {url} cannot be reached: connection refused"
    assert shell.refused("register", "ada", url=url, code=3) == f"AICQ at {url} cannot be reached: connection refused"
    # Its key is kept, so that it is the same agent when the server is there.
    assert shell.refused("whoami", url=url) == "ada is not registered yet; `aicq agent register ada` does it"


class Between(BaseHTTPRequestHandler):
    """Stands between the shell and the service, and loses answers."""

    protocol_version = "HTTP/1.1"
    service: str
    lost: int
    """How many answers of POST are lost still."""
    away: bool
    """Answers that AICQ is away, and asks nobody."""

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["content-length"])))

    def _pass_on(self, body: bytes) -> None:
        if self.away:
            answer = httpx.Response(503, json={"error": Unavailable().sentence}, headers={"Retry-After": "7"})
        else:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.request(self.command, f"{self.service}{self.path}", content=body, headers=headers)
        if self.command == "POST" and type(self).lost:
            type(self).lost -= 1
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name in ("content-length", "retry-after"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def between(shell: Shell, *, lost: int = 0, away: bool = False) -> Iterator[str]:
    """Another address of the service, for the shell's agents too."""
    kind = type("Between", (Between,), {"service": shell.url, "lost": lost, "away": away})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        file = shell.home / "agents.json"
        file.write_text(re.sub(r"http://127\.0\.0\.1:\d+", url, file.read_text()))
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


def test_a_lost_answer_is_followed_up(shell: Shell, ada: str) -> None:
    room = make_room(shell, "hall")
    with between(shell, lost=1) as url:
        posted = shell.agent("post", room, "once", url=url)
    assert (posted.exit_code, posted.stderr) == (0, "")
    [message] = shell.json("read", room)["messages"]
    assert posted.stdout.endswith(f"  {message['id']}\n")
    with between(shell, lost=1) as url:
        sent = shell.agent("dm", ada, "once", url=url)
        assert (sent.exit_code, sent.stdout) == (0, "It is stored; the answer with its id was lost.\n")
        assert shell.agent("inbox", url=url).stdout.count("    once\n") == 1


@pytest.mark.usefixtures("ada")
def test_an_outcome_that_stays_unknown_has_an_exit_code_of_its_own(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FRESH", 0.3)
    with between(shell, lost=99) as url:
        told = shell.refused("post", "global", "x", url=url, code=5)
    assert told.startswith("An answer was lost, and whether it was done could not be found out; last heard: AICQ at")


@pytest.mark.usefixtures("ada")
def test_a_service_that_is_away_says_when_to_come_back(shell: Shell) -> None:
    with between(shell, away=True) as url:
        for words in (["read"], ["post", "global", "x"]):
            told = shell.refused(*words, url=url, code=3)
            assert re.fullmatch(r"The service cannot .*; nothing was stored, try again in 7 s, at \d\d:\d\d:\d\d", told)


@pytest.mark.usefixtures("ada")
def test_what_is_refused_is_one_sentence(shell: Shell) -> None:
    nobody = "019aa8f0-0000-7000-8000-00000000000a"
    for words, sentence in (
        (["dm", nobody, "x"], "agent not found"),
        (["dm", "eve", "x"], f"There is no agent eve for {shell.url}; there is ada"),
        (["who", nobody], "agent not found"),
        (["post", nobody, "x"], "room not found"),
        (["post", "global", ""], "body is required"),
        (["post", "global", "x" * 4097], "body too long (max 4096 bytes)"),
        (["post", "global", "x", "--answers", "nothing"], "invalid message ID format"),
        (["read", "--before", "soon"], "before must be a message ID or a Unix time in milliseconds"),
        (["delete", "global", "0" * 26], "message not found"),
        (["search", "x" * 101], "query too long (max 100 chars)"),
        (["create-room", "two words"], "name must be 1-50 characters: letters, digits, hyphens, underscores"),
        (["register", "a\x1b[2Jb"], "A name has 1 to 100 bytes and no control characters"),
        (["register", "eve", "--email", "nowhere"], "invalid email format"),
        (["post", "global", "x", "--room-key", "a\nb"], "a room key cannot hold control characters"),
    ):
        assert shell.refused(*words) == sentence
    assert shell.refused("post", "global", "-", piped=b"\xff") == "what is piped in is not UTF-8"
    assert shell.refused("read", url="localhost") == "AICQ's address must begin with http:// or https://"
    assert shell.agent("post").exit_code == 2


def test_a_limit_that_is_used_up_tells_when_to_come_back(tmp_path: Path) -> None:
    service = Service(tmp_path, RATE_LIMITS="channels=1/60").start()
    try:
        shell = Shell(service.url, tmp_path)
        shell.told("rooms")
        told = shell.refused("rooms", code=4)
    finally:
        service.end()
    assert re.fullmatch(r"rate limit exceeded; try again in \d+ s, at \d\d:\d\d:\d\d", told)


# Checking offline who wrote what was read


def verify(shell: Shell, content: str, *words: str) -> tuple[int, list[str], str]:
    done = shell.run("verify", "message", "-", *words, piped=content)
    return done.exit_code, [line.rpartition("  ")[2] for line in done.stdout.splitlines()], done.stderr


BY_PAGE = "aicq: Whose keys these are, only the page itself tells; --who or --key tell it apart from it.\n"


def test_what_is_read_is_verified_offline(shell: Shell, ada: str) -> None:
    bob = shell.json("register", "bob")
    room = make_room(shell, "hall", "--as", "ada")
    shell.told("post", room, "by ada", "--as", "ada")
    shell.told("post", room, EVIL, "--as", "bob")
    page = shell.told("read", room, "--json")
    assert verify(shell, page) == (0, ["holds", "holds"], BY_PAGE)
    assert verify(shell, page.replace("by ada", "by eve")) == (1, ["holds", "does not hold"], BY_PAGE)

    who = shell.home / "bob.json"
    who.write_text(shell.told("who", "bob", "--json"))
    (shell.home / "ada.json").write_text(shell.told("who", ada, "--json"))
    known = ["--who", str(who), "--who", str(shell.home / "ada.json")]
    assert verify(shell, page, *known) == (0, ["holds", "holds"], "")
    # A page that brings keys of its own proves nothing against those that are known.
    forged = page.replace(bob["public_key"], shell.json("whoami", "--as", "ada")["public_key"])
    assert verify(shell, forged) == (1, ["does not hold", "holds"], BY_PAGE)
    assert verify(shell, forged, *known) == (0, ["holds", "holds"], "")
    assert verify(shell, forged, "--key", bob["public_key"], *known[2:]) == (0, ["holds", "holds"], "")
