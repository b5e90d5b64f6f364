"""Settings: what the environment says, or one clear sentence."""

import re

import pytest

from aicq.errors import StartError
from aicq.settings import DEFAULT_RATES, Rate, load


def told(**environ: str) -> str:
    with pytest.raises(StartError) as caught:
        load(environ)
    return caught.value.sentence


@pytest.mark.parametrize("rule", DEFAULT_RATES)
def test_every_limit_can_be_changed_and_leaves_the_others_alone(rule: str) -> None:
    rates = load({"RATE_LIMITS": f"{rule}=7/11"}).rates
    assert rates == {**DEFAULT_RATES, rule: Rate(7, 11_000)}


@pytest.mark.parametrize(
    "text", ["post=60/60,find=10/30", " post = 60 / 60 , find=10/30 ,", "post=1/1,post=60/60,find=10/30"]
)
def test_limits_are_listed_with_commas_and_spaces_do_not_matter(text: str) -> None:
    rates = load({"RATE_LIMITS": text}).rates
    assert (rates["post"], rates["find"]) == (Rate(60, 60_000), Rate(10, 30_000))


def test_a_limit_of_nothing_closes_a_call() -> None:
    assert load({"RATE_LIMITS": "register=0/3600"}).rates["register"] == Rate(0, 3_600_000)


@pytest.mark.parametrize(
    "text",
    [
        "post",
        "post=",
        "post=60",
        "post=60/",
        "post=/60",
        "post=60/0",
        "post=-1/60",
        "post=1.5/60",
        "post=60/60s",
        "post=60/60/60",
        "post=٦/60",
        "post=60/60;find=10/60",
        f"post={10**13}/60",
        f"post={'9' * 5000}/60",
        f"post=60/{31 * 86_400 + 1}",
    ],
)
def test_a_limit_that_has_no_meaning_is_one_sentence(text: str) -> None:
    assert told(RATE_LIMITS=text) == "RATE_LIMITS must read like post=60/60,find=10/60: so many in so many seconds."


@pytest.mark.parametrize("text", ["posts=60/60", "POST=60/60", "=60/60", "find=10/60,secret=1/1"])
def test_a_rule_that_there_is_not_is_answered_with_those_that_there_are(text: str) -> None:
    sentence = told(RATE_LIMITS=text)
    assert sentence.startswith("RATE_LIMITS names a rule that there is not; the rules are register, who, channels, ")
    assert set(re.findall(r"\w+", sentence.partition("the rules are")[2])) == DEFAULT_RATES.keys()


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "RATE_LIMIT_WHITELIST"])
@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/33", "10.0.0.1:80", "10.0.0.1;10.0.0.2"])
def test_networks_that_are_none_are_one_sentence(name: str, text: str) -> None:
    assert told(**{name: text}) == f"{name} must list addresses or networks, separated by commas."


def test_networks_may_be_addresses_and_have_bits_beyond_their_length() -> None:
    settings = load({"TRUSTED_PROXIES": "10.0.0.1, 192.168.7.7/16,2001:db8::1/64"})
    assert list(map(str, settings.trusted_proxies)) == ["10.0.0.1/32", "192.168.0.0/16", "2001:db8::/64"]


@pytest.mark.parametrize(
    ("text", "is_enabled"), [("true", True), ("1", True), ("false", False), ("0", False), ("", False)]
)
def test_automatic_blocks_are_off_unless_they_are_asked_for(text: str, is_enabled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert load({"AUTO_BLOCK_ENABLED": text}).auto_block_enabled is is_enabled
    assert load({}).auto_block_enabled is False


def test_a_switch_that_is_none_is_one_sentence() -> None:
    assert told(AUTO_BLOCK_ENABLED="maybe") == "AUTO_BLOCK_ENABLED must be true or false."
