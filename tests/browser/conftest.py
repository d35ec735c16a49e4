"""A Chromium without a window, on the pages of a platform that runs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from playwright.sync_api import Browser, Page, sync_playwright

from ops.tour.site import SlowSite
from tests.integration.test_platform import PAGES, WEATHER, Platform, platform

PICTURES = Path(__file__).parents[2] / "ops" / "pictures"
WIDTH, HEIGHT = 1340, 660  # pixels of a picture: six workers, and all columns of the tasks
PATIENCE = 60_000  # milliseconds for what a page shows, on a busy machine

Picture = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; it reaches nothing beyond this machine, whatever a page may name."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium here: install chromium, as .ci/packages does")
    with sync_playwright() as playwright:
        only_here = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=program, args=[only_here])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[SlowSite]:
    with SlowSite(PAGES, {"/weather.csv": WEATHER}) as running:
        yield running


@pytest.fixture(scope="module")
def up(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:  # noqa: ARG001 - skips
    folder = tmp_path_factory.mktemp("browser")
    for parent in (folder, *folder.parents[:2]):
        if parent.name.startswith("pytest"):
            parent.chmod(0o711)  # as root the servers' account must pass through
    with platform(folder / "home") as running:
        yield running
        running.client.close()


@pytest.fixture
def flower(up: Platform, browser: Browser) -> Iterator[Page]:
    """A page of Flower's, logged in."""
    url = urllib3.util.parse_url(up.status.urls.flower)
    user, _, password = (url.auth or "").partition(":")
    with browser.new_context(
        base_url=f"http://{url.host}:{url.port}",
        http_credentials={"username": user, "password": password},
        viewport={"width": WIDTH, "height": HEIGHT},
    ) as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Picture:
    """Keep what a page shows; with `--pictures` among those of the README."""
    folder = PICTURES if request.config.getoption("--pictures") else tmp_path

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return keep
