"""The file in which agents' keys are kept."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from aicq.client.errors import IdentityError
from aicq.client.identities import Identities

URL = "http://127.0.0.1:8080"


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    return Identities(tmp_path / "config" / "agents.json")


def register(identities: Identities, name: str, url: str = URL) -> None:
    identities.remember(msgspec.structs.replace(identities.find_or_make(url, name), id=f"id of {name}"))


def names(identities: Identities) -> list[str]:
    return sorted(json.loads(identities.path.read_text())[URL])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_kept_where_only_its_owner_can_read_it(identities: Identities) -> None:
    before = os.umask(0)
    try:
        register(identities, "ada")
    finally:
        os.umask(before)
    assert (mode(identities.path), mode(identities.path.parent)) == (0o600, 0o700)
    assert [path.name for path in identities.path.parent.iterdir()] == ["agents.json"]


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_is_open_to_others_is_refused(identities: Identities, open_to: int) -> None:
    register(identities, "ada")
    held = identities.path.read_text()
    identities.path.chmod(open_to)
    for use in (lambda: identities.find(URL), lambda: register(identities, "bob")):
        with pytest.raises(IdentityError) as refused:
            use()
        told = f"The identity file {identities.path} is open to others, who may know its keys by now"
        assert refused.value.sentence == f"{told}; `chmod 600` closes it"
    assert identities.path.read_text() == held
    identities.path.chmod(0o600)
    assert identities.find(URL).name == "ada"


def test_a_file_of_somebody_else_is_refused(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    register(identities, "ada")
    owner = identities.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(IdentityError, match="belongs to somebody else"):
        identities.find(URL)


def test_an_agent_keeps_its_key_and_has_another_one_elsewhere(identities: Identities) -> None:
    register(identities, "ada")
    register(identities, "ada", "https://elsewhere")
    here, elsewhere = identities.find(URL), identities.find("https://elsewhere")
    assert here.key.to_text() == identities.find_or_make(URL, "ada").key.to_text()
    assert here.key.to_text() != elsewhere.key.to_text()
    assert here.id == "id of ada"


def test_the_only_agent_needs_no_name_and_several_do(identities: Identities) -> None:
    with pytest.raises(IdentityError, match=f"There is no agent for {URL} yet; `aicq agent register NAME` makes one"):
        identities.find(URL)
    register(identities, "bob")
    assert identities.find(URL).name == identities.find(URL, "bob").name == "bob"
    register(identities, "ada")
    with pytest.raises(IdentityError, match=f"There are several agents for {URL}; say which with --as: ada, bob"):
        identities.find(URL)
    with pytest.raises(IdentityError, match=f"There is no agent eve for {URL}; there is ada, bob"):
        identities.find(URL, "eve")
    assert identities.find(URL, "ada").name == "ada"


def test_an_agent_whose_registration_was_not_answered_is_registered_again(identities: Identities) -> None:
    made = identities.find_or_make(URL, "ada")
    with pytest.raises(IdentityError, match="ada is not registered yet; `aicq agent register ada` does it"):
        identities.find(URL)
    assert identities.find_or_make(URL, "ada").key.to_text() == made.key.to_text()
    register(identities, "bob")
    assert identities.find(URL).name == "bob"


@pytest.mark.parametrize("name", ["", " ", " ada", "a\nb", "\x1b[2J", "é" * 51])
def test_what_cannot_be_a_name_is_refused(identities: Identities, name: str) -> None:
    with pytest.raises(IdentityError, match="A name has 1 to 100 bytes and no control characters"):
        identities.find_or_make(URL, name)
    assert not identities.path.exists()


def test_many_agents_registered_at_once_are_all_kept(identities: Identities) -> None:
    agents = [f"agent {number:02}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: register(Identities(identities.path), name), agents))
    assert names(identities) == agents
    assert all(identities.find(URL, name).id for name in agents)


def test_what_a_killed_writer_left_behind_is_no_hindrance(identities: Identities) -> None:
    register(identities, "ada")
    half = identities.path.with_name("agents.json.new")
    half.write_text('{"http://127')
    half.chmod(0o644)
    assert names(identities) == ["ada"]
    register(identities, "bob")
    assert names(identities) == ["ada", "bob"]
    assert (half.exists(), mode(identities.path)) == (False, 0o600)


def test_a_file_kept_elsewhere_by_a_link_stays_there(identities: Identities, tmp_path: Path) -> None:
    register(identities, "ada")
    link = tmp_path / "link.json"
    link.symlink_to(identities.path)
    register(Identities(link), "bob")
    assert link.is_symlink()
    assert names(identities) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "holds something else than agents' keys"),
        ("[]", "holds something else than agents' keys"),
        ("\udcff", "holds something else than agents' keys"),
        (f'{{"{URL}":{{"ada":{{"key":"c2VjcmV0","id":"x"}}}}}}', "The key of ada in"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_not_repeated(
    identities: Identities, content: str, sentence: str
) -> None:
    register(identities, "ada")
    identities.path.write_text(content, errors="surrogateescape")
    with pytest.raises(IdentityError, match=sentence) as refused:
        identities.find(URL)
    assert "c2VjcmV0" not in str(refused.value)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IdentityError, match="cannot be used: "):
        Identities(tmp_path / "file" / "agents.json").find_or_make(URL, "ada")


def test_no_key_is_told_by_what_holds_it(identities: Identities) -> None:
    register(identities, "ada")
    identity = identities.find(URL)
    assert identity.key.to_text() in identities.path.read_text()
    assert identity.key.to_text() not in repr(identity)


def test_the_environment_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Identities.of({}).path == tmp_path / ".config" / "aicq" / "agents.json"
    assert Identities.of({"XDG_CONFIG_HOME": "/etc"}).path == Path("/etc/aicq/agents.json")
    assert Identities.of({"AICQ_CONFIG": "~/keys.json", "XDG_CONFIG_HOME": "/etc"}).path == tmp_path / "keys.json"
