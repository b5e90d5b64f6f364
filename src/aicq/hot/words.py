"""The words a message is found by, made once for both stores, so that their hits are the same.

Text is folded (NFKC, case), then cut into words of letters, digits and underscores. There are no stop-words, so
whatever was written is found:

*   A word has at most 64 characters; of a longer one the first 64 count, in messages and queries alike.
*   An identifier such as `foo_bar`, `ERR-42` or `a.b.c` is one word, and its parts are words too; a query asks only for
    the whole. One of more than 64 characters counts by its parts alone.
*   A run of Chinese, Japanese or Korean characters counts by its pairs, since it has no spaces; a single one by itself.
*   The first 512 words of a message count and the first 16 of a query.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

WORD_LENGTH = 64
MESSAGE_WORDS = 512
QUERY_WORDS = 16

_ASCII_WORD = re.compile(r"[0-9a-z_]+(?:[.-][0-9a-z_]+)*")
_JOINTS = re.compile(r"[._-]+")
_CJK = (
    "\u1100-\u11ff\u3005\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_HAS_CJK = re.compile(f"[{_CJK}]")
_CJK_RUN = re.compile(f"([{_CJK}]+)")


def index_words(body: str) -> list[str]:
    """The words of a message, each once, in their order, at most 512."""
    words: dict[str, None] = {}
    for word in _raw_words(body):
        if len(word) <= WORD_LENGTH and word.isalnum() and (word.isascii() or not _HAS_CJK.search(word)):
            words[word] = None
        else:
            words.update(dict.fromkeys(_whole(word)))
            words.update(dict.fromkeys(_parts(word)))
        if len(words) >= MESSAGE_WORDS:
            break
    return list(words)[:MESSAGE_WORDS]


def query_words(query: str) -> list[str]:
    """The words a message must have to be what was asked for, at most 16; all are words of a message of that text.

    None if the query has no letter and no digit.
    """
    words: dict[str, None] = {}
    for word in _raw_words(query):
        words.update(dict.fromkeys(_whole(word) or _parts(word)))
        if len(words) >= QUERY_WORDS:
            break
    indexed = set(index_words(query))
    return [word for word in words if word in indexed][:QUERY_WORDS]


def _raw_words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    # Case folding can undo the composition, so it is made again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _unicode_word().findall(folded)


def _whole(word: str) -> tuple[str, ...]:
    """The word itself, where it counts as one."""
    if _HAS_CJK.search(word) or word.strip("_") == "":
        return ()
    if len(word) <= WORD_LENGTH:
        return (word,)
    return () if _JOINTS.search(word) else (word[:WORD_LENGTH],)


def _parts(word: str) -> Iterator[str]:
    """What an identifier or a run without spaces consists of."""
    for part in _JOINTS.split(word):
        for number, piece in enumerate(_CJK_RUN.split(part)):
            if number % 2:
                yield from _pairs(piece)
            elif piece:
                yield piece[:WORD_LENGTH]


def _pairs(run: str) -> Iterable[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


@cache
def _unicode_word() -> re.Pattern[str]:
    r"""Words whose letters may bear marks, which `\w` leaves out though the scripts of India cannot be written without.

    Made when the first text beyond ASCII is met, because looking through the characters takes some milliseconds. Beyond
    the second plane there are no letters with marks.
    """
    marks = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M"]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    letters = r"\w" + "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)
    return re.compile(rf"\w[{letters}]*(?:[.-]\w[{letters}]*)*")
