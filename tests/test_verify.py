"""`aicq verify message`: who wrote a message, checked without the service."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from nacl.signing import SigningKey

from aicq.cli import main
from tests.agents import GLOBAL, public_key

ADA = "019aa8f0-0000-7000-8000-00000000000a"
BOB = "019aa8f0-0000-7000-8000-00000000000b"
PARENT = "01M80XSHB500000001C7YKEA0Y"


@pytest.fixture
def ada() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def bob() -> SigningKey:
    return SigningKey.generate()


def written(key: SigningKey | None, author: str, seq: int, *, pid: str = "", room: str = GLOBAL) -> dict[str, Any]:
    """A message as a page returns it; without a key it is not signed."""
    message = {"id": f"01M80XSHB50000000{seq}C7YKEA0Y", "seq": seq, "from": author, "body": f"né {seq}", "ts": 1}
    if pid:
        message["pid"] = pid
    if key:
        text = f"aicq-message-v1\n{room}\n{pid}\n{message['body']}".encode()
        message["sig"] = base64.b64encode(key.sign(text).signature).decode()
    return message


def page(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"room": {"id": GLOBAL, "name": "global"}, "messages": list(messages), "has_more": False}


def verify(content: Any, *options: str) -> Result:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return CliRunner().invoke(main, ["verify", "message", "-", *options], input=raw)


def verdicts(told: Result) -> list[str]:
    return [line.split("  ")[2] for line in told.stdout.splitlines()]


@pytest.fixture
def who(tmp_path: Path) -> Any:
    """Saves what `/who/{id}` answers and gives the options that name the files."""

    def save(**agents: tuple[str, SigningKey]) -> list[str]:
        options = []
        for name, (agent_id, key) in agents.items():
            profile = {"id": agent_id, "public_key": public_key(key), "joined_at": "2026-11-22T10:00:00Z", "name": name}
            (tmp_path / name).write_text(json.dumps(profile))
            options += ["--who", str(tmp_path / name)]
        return options

    return save


@pytest.mark.parametrize("pid", ["", PARENT])
def test_a_message_is_proven_by_its_authors_key(ada: SigningKey, pid: str) -> None:
    message = written(ada, ADA, 1, pid=pid)
    told = verify(message, "--room", GLOBAL, "--key", public_key(ada))
    assert (told.exit_code, told.stdout) == (0, f"{message['id']}  {ADA}  holds\n")


def test_a_file_is_read_and_a_profile_gives_the_key(ada: SigningKey, who: Any, tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps(written(ada, ADA, 1)))
    arguments = ["verify", "message", str(file), "--room", GLOBAL.upper(), *who(ada=(ADA, ada))]
    assert CliRunner().invoke(main, arguments).exit_code == 0


@pytest.mark.parametrize(
    "forged",
    [
        {"body": "something else"},
        {"pid": PARENT},
        {"sig": "AAAA"},
        {"sig": "no base64"},
        {"sig": base64.b64encode(bytes(64)).decode()},
    ],
)
def test_a_message_that_was_changed_does_not_hold(ada: SigningKey, forged: dict[str, str]) -> None:
    told = verify(written(ada, ADA, 1) | forged, "--room", GLOBAL, "--key", public_key(ada))
    assert (told.exit_code, verdicts(told)) == (1, ["does not hold"])


def test_a_message_of_another_room_or_by_another_key_does_not_hold(ada: SigningKey, bob: SigningKey) -> None:
    message = written(ada, ADA, 1)
    for room, key in ((ADA, ada), (GLOBAL, bob)):
        told = verify(message, "--room", room, "--key", public_key(key))
        assert (told.exit_code, verdicts(told)) == (1, ["does not hold"])


def test_every_signed_message_of_a_page_is_checked(ada: SigningKey, bob: SigningKey, who: Any) -> None:
    content = page(written(bob, BOB, 3), written(None, BOB, 2), written(ada, ADA, 1))
    both = verify(content, *who(ada=(ADA, ada), bob=(BOB, bob)))
    assert (both.exit_code, verdicts(both)) == (0, ["holds", "not signed", "holds"])
    one = verify(content, *who(ada=(ADA, ada)))
    assert (one.exit_code, verdicts(one)) == (1, ["key unknown", "not signed", "holds"])
    mixed = verify(content, "--key", public_key(bob), *who(ada=(ADA, ada)))
    assert (mixed.exit_code, verdicts(mixed)) == (0, ["holds", "not signed", "holds"])
    swapped = verify(content, *who(ada=(ADA, bob), bob=(BOB, bob)))
    assert (swapped.exit_code, verdicts(swapped)) == (1, ["holds", "not signed", "does not hold"])


def test_where_nothing_is_signed_nothing_is_proven(ada: SigningKey) -> None:
    for content, found in ((page(), []), (page(written(None, ADA, 1)), ["not signed"])):
        told = verify(content, "--key", public_key(ada))
        assert (told.exit_code, verdicts(told)) == (1, found)


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"{", [], "This is neither a message nor a page: "),
        (b"[]", [], "This is neither a message nor a page: "),
        (b'{"body":"\xff"}', [], "This is neither a message nor a page: "),
        ({"room": {"id": GLOBAL}}, [], "This is neither a message nor a page: "),
        (written(None, ADA, 1) | {"id": "\x1b[2J"}, ["--room", GLOBAL], "invalid message ID format"),
        (written(None, ADA, 1), [], "The room is missing, and a signature covers it; name it with --room."),
        (written(None, ADA, 1), ["--room", "global"], "invalid room ID format"),
        (page(), ["--room", ADA], f"The page is of the room {GLOBAL}, not of {ADA}."),
        (page(), ["--key", "AAAA"], "invalid public key: must be 32 bytes"),
        (page(), ["--who", __file__], "This is no answer of /who/{id}: "),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(content: Any, options: list[str], sentence: str) -> None:
    told = verify(content, *options)
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith(f"aicq: {sentence}")
    assert len(told.stderr.splitlines()) == 1


def test_keys_that_contradict_each_other_are_refused(ada: SigningKey, bob: SigningKey, who: Any) -> None:
    content = page(written(bob, BOB, 2), written(ada, ADA, 1))
    one_for_two = verify(content, "--key", public_key(ada))
    assert one_for_two.stderr.startswith("aicq: One key was given, but several agents signed these messages")
    two_for_one = verify(content, *who(ada=(ADA, ada), again=(ADA, bob)))
    assert two_for_one.stderr == f"aicq: Two answers tell different keys of the agent {ADA}.\n"
    assert (one_for_two.exit_code, two_for_one.exit_code) == (1, 1)
