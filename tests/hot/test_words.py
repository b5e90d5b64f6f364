"""Words: what a message is found by."""

from hypothesis import example, given
from hypothesis import strategies as st

from aicq.hot.words import MESSAGE_WORDS, QUERY_WORDS, WORD_LENGTH, index_words, query_words

texts = st.text() | st.text(
    alphabet="abAB019_.-' \u00df\u0130\u0345\u3042\u65e5\u672c\uac00\u0928\u094d\ufb01\ufdfa\u00ad\x00"
)


def test_case_and_form_do_not_matter() -> None:
    assert index_words("Hello WORLD") == ["hello", "world"]
    assert index_words("Straße STRASSE") == ["strasse"]
    assert index_words("\uff26\uff35\uff2c\uff2c \ufb01ne") == ["full", "fine"]
    assert index_words("cafe\u0301") == index_words("café") == ["café"]


def test_an_identifier_counts_whole_and_in_parts() -> None:
    assert index_words("foo_bar") == ["foo_bar", "foo", "bar"]
    assert index_words("ERR-42") == ["err-42", "err", "42"]
    assert index_words("a.b.c") == ["a.b.c", "a", "b", "c"]
    assert index_words("__init__") == ["__init__", "init"]


def test_a_query_asks_for_the_whole() -> None:
    assert query_words("foo_bar ERR-42 a.b.c plain") == ["foo_bar", "err-42", "a.b.c", "plain"]


def test_punctuation_belongs_to_no_word() -> None:
    assert index_words("(Done.) --flag 'quoted'; end...") == ["done", "flag", "quoted", "end"]
    assert index_words("don't") == ["don", "t"]
    assert index_words("\x00a\x00b") == ["a", "b"]


def test_where_nothing_is_a_word_there_is_none() -> None:
    for text in ("", " ", "?!", "____", "\x00", "-", "\U0001f600\ufe0f"):
        assert index_words(text) == query_words(text) == []


def test_chinese_japanese_and_korean_count_by_pairs() -> None:
    assert index_words("日本語") == ["日本", "本語"]
    assert index_words("猫") == ["猫"]
    assert index_words("한국어 test") == ["한국", "국어", "test"]
    assert index_words("API日本v2") == ["api", "日本", "v2"]


def test_letters_keep_their_marks() -> None:
    assert index_words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


def test_each_word_counts_once_in_its_order() -> None:
    assert index_words("b a B a-b A") == ["b", "a", "a-b"]


def test_of_a_long_word_its_beginning_counts() -> None:
    assert index_words("x" * 100) == query_words("x" * 100) == ["x" * 64]
    assert index_words("y" * 64) == ["y" * 64]


def test_a_long_identifier_counts_by_its_parts() -> None:
    assert index_words("-".join(["part"] * 20)) == query_words("-".join(["part"] * 20)) == ["part"]


def test_messages_and_queries_have_a_most_of_words() -> None:
    text = " ".join(f"w{number}" for number in range(1000))
    assert index_words(text) == [f"w{number}" for number in range(512)]
    assert query_words(text) == [f"w{number}" for number in range(16)]


@given(texts)
@example("a.b a")
@example(".".join("abcdefghijklmnopqrstuvwxyz0123456789" * 30))
def test_whatever_was_written_is_found(text: str) -> None:
    assert set(query_words(text)) <= set(index_words(text))
    assert bool(query_words(text)) == bool(index_words(text))


@given(texts)
def test_words_fit_every_store(text: str) -> None:
    words = index_words(text)
    assert len(words) == len(set(words)) <= MESSAGE_WORDS
    assert len(query_words(text)) <= QUERY_WORDS
    for word in words:
        assert 0 < len(word) <= WORD_LENGTH
        assert not set(word) & {"\x00", " ", "\x1f", "'", "\\", ":"}
        word.encode()


@given(texts, texts)
def test_a_word_is_found_wherever_it_stands(before: str, after: str) -> None:
    assert set(query_words("needle-7")) <= set(index_words(f"{before[:200]} needle-7 {after}"))
