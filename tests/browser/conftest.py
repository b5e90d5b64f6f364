"""A browser for all tests, and a service that it looks at."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, chromium
from tests.process.service import Service

FREELY = "post=1000/1,register=1000/1,room_create=1000/1,delete=1000/1"

READ_FREELY = "room_read=10000/60,who=10000/60,channels=10000/60"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without limits that a test would meet."""
    service = Service(tmp_path_factory.mktemp("service"), RATE_LIMITS=f"{FREELY},{READ_FREELY}").start()
    yield service
    service.end()
