"""Ids: the same bits as `uuid` and as ULID, in order, read back in any spelling."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from aicq.errors import InvalidId
from aicq.ids import direct_room_id, first_id_at, from_ulid, milliseconds, new_row_id, position, to_ulid

uuids = st.uuids()


@given(uuids)
def test_an_id_is_written_as_the_library_writes_it_and_read_back_in_either_case(value: UUID) -> None:
    text = to_ulid(value)
    assert text == str(ULID.from_bytes(value.bytes))
    assert from_ulid(text) == from_ulid(text.lower()) == value


@given(st.text(max_size=30) | st.text("0123456789abcdefghijklmnopqrstuvwxyzILOU_ \n", min_size=26, max_size=26))
def test_whatever_the_library_does_not_read_is_refused(text: str) -> None:
    try:
        expected = ULID.from_str(text.upper()).to_uuid()
    except ValueError:
        with pytest.raises(InvalidId):
            from_ulid(text)
    else:
        assert from_ulid(text) == expected


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 40) - 1))
def test_an_id_tells_its_time_and_its_position(ms: int, seq: int, tail: int) -> None:
    value = from_ulid(str(ULID.from_int(ms << 80 | seq << 40 | tail)))
    assert (milliseconds(value), position(value)) == (ms, seq)
    assert first_id_at(ms) <= value < first_id_at(ms + 1) or ms == (1 << 48) - 1


@given(uuids, uuids)
def test_a_pair_has_one_room_whoever_writes_first(one: UUID, other: UUID) -> None:
    assert direct_room_id(one, other) == direct_room_id(other, one)
    assert direct_room_id(one, other).version == 8


def test_row_ids_are_of_version_7_and_sort_by_time() -> None:
    ids = [new_row_id(ms) for ms in range(1000, 1100)]
    assert {value.version for value in ids} == {7}
    assert ids == sorted(ids)
