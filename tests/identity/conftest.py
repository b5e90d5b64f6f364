"""Apps that share a secret key, as the workers of one service do."""

from collections.abc import Mapping

import pytest

from tests.conftest import RAISED_LIMITS


@pytest.fixture
def hot_kind() -> str:
    """Who acts is a matter of Postgres; what the hot store counts is tested over both in `test_guesses.py`."""
    return "postgres"


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {**RAISED_LIMITS, "AICQ_SECRET_KEY": "a secret key for tests"}
