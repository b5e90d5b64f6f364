"""What tests of rooms under /v1 share. Where the hot store plays no part they run over one."""

import pytest


@pytest.fixture
def hot_kind() -> str:
    return "postgres"
