"""What the tests of web.fetch share."""

import pytest

from tests.integration.web_fetch.client import LOOPBACK
from worker.adapters.http import GuardedFetcher


@pytest.fixture(scope="session")
def fetcher() -> GuardedFetcher:
    """May reach 127.0.0.1 and no other address of the inside."""
    return GuardedFetcher(LOOPBACK, "test/1")
