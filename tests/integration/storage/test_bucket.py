"""Artifacts in an object store: a server that speaks S3 over HTTP, on loopback."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from worker.bucket import Bucket, store_of
from worker.ledger.ids import new_id
from worker.settings import Settings
from worker.storage import Storage
from worker.stores import storage_of

SERVER = """
from moto.server import ThreadedMotoServer
import time
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(port, flush=True)
time.sleep(600)
"""

# Files are written in a parent's child, as a prefork worker's are.
FORKED = """
import os, sys
from pathlib import Path
from worker.settings import Settings
from worker.stores import storage_of
storage = storage_of(Settings(storage_url="s3://kept/a", storage_endpoint=sys.argv[1],
    storage_key="k", storage_secret="s", home=sys.argv[2]))
for _ in range(2):
    if os.fork() == 0:
        with storage.create() as (artifact_id, file):
            file.write(b"forked")
        with storage.open(artifact_id) as stored:
            os._exit(0 if stored.read() == b"forked" else 1)
print([os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)])
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, env=clean, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@pytest.fixture
def settings(endpoint: str, tmp_path: Path) -> Settings:
    given = Settings(
        home=str(tmp_path),
        storage_url="s3://kept/artifacts",
        storage_endpoint=endpoint,
        storage_key="jobyard",
        storage_secret="s3cret",
    )
    make_bucket(endpoint, "kept")
    return given


def make_bucket(endpoint: str, name: str) -> None:
    import urllib3  # noqa: PLC0415 - of this function alone

    assert urllib3.request("PUT", f"{endpoint}/{name}").status in {200, 409}


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return storage_of(settings)


def test_what_was_stored_is_read_as_a_whole_and_in_parts(storage: Storage, settings: Settings) -> None:
    content = bytes(range(256)) * 30_000  # more than one part of an upload, and than one read
    with storage.create() as (artifact_id, file):
        for start in range(0, len(content), 100_000):
            file.write(content[start : start + 100_000])
    assert file.size == len(content)
    with storage.open(artifact_id) as stored:
        assert stored.read() == content
        stored.seek(1_000_003)
        assert stored.read(70_000) == content[1_000_003:1_070_003]
        stored.seek(-2, os.SEEK_END)
        assert stored.read(10) == content[-2:]
        assert stored.read(10) == b""
    assert not list(settings.home_path.iterdir())  # nothing of it stays on the local disk


def test_an_empty_file_is_one(storage: Storage) -> None:
    with storage.create() as (artifact_id, _):
        pass
    with storage.open(artifact_id) as stored:
        assert stored.read() == b""


def test_a_file_whose_writing_failed_leaves_nothing(storage: Storage) -> None:
    def fail() -> None:
        with storage.create() as (artifact_id, file):
            names.append(artifact_id)
            file.write(b"half")
            raise ValueError("no more")

    names: list[object] = []
    with pytest.raises(ValueError, match="no more"):
        fail()
    assert names[0] not in set(storage.older_than(-60.0))


def test_what_is_not_there_is_missed_and_deleting_it_is_no_error(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open(new_id())
    storage.delete(new_id())


def test_a_deleted_file_is_gone(storage: Storage) -> None:
    with storage.create() as (artifact_id, file):
        file.write(b"x")
    storage.delete(artifact_id)
    with pytest.raises(FileNotFoundError):
        storage.open(artifact_id)


def test_strays_are_found_by_their_age_and_what_is_no_artifact_is_left_alone(
    storage: Storage, settings: Settings
) -> None:
    with storage.create() as (artifact_id, file):
        file.write(b"x")
    obstore.put(store_of(settings), "notes.txt", b"somebody's")
    assert artifact_id in set(storage.older_than(-60.0))
    assert list(storage.older_than(60.0)) == []


def test_a_bucket_has_the_names_of_a_folder_so_that_one_can_be_copied_into_the_other(
    storage: Storage, settings: Settings, tmp_path: Path
) -> None:
    with storage.create() as (artifact_id, file):
        file.write(b"x")
    with Storage(tmp_path / "folder").create() as (other, file):
        file.write(b"x")
    (name,) = (str(path.relative_to(tmp_path / "folder")) for path in (tmp_path / "folder").glob("*/*"))
    assert name == f"{other.hex[-2:]}/{other.hex}"
    assert obstore.head(store_of(settings), f"{artifact_id.hex[-2:]}/{artifact_id.hex}")["size"] == 1


def test_a_store_that_fails_is_an_error_of_the_disk_without_its_secret(tmp_path: Path) -> None:
    storage = storage_of(
        Settings(
            home=str(tmp_path),
            storage_url="s3://kept",
            storage_endpoint="http://127.0.0.1:9",
            storage_key="jobyard",
            storage_secret="s3cret",
        )
    )
    with pytest.raises(OSError, match=r"^the object store failed: GenericError$") as caught:
        storage.open(new_id())
    assert not isinstance(caught.value, FileNotFoundError)
    assert "s3cret" not in repr(caught.value.__cause__)
    assert "s3cret" not in repr(vars(storage))


def test_the_children_of_a_prefork_pool_store_too(endpoint: str, tmp_path: Path) -> None:
    make_bucket(endpoint, "kept")
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, endpoint, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 0]\n"


def test_what_blocks_is_run_where_it_may(settings: Settings) -> None:
    ran: list[str] = []

    def apart(function: object, *words: object) -> object:
        ran.append(getattr(function, "__name__", "?"))
        return function(*words)  # type: ignore[operator]

    storage = storage_of(settings, apart)
    with storage.create() as (artifact_id, file):
        file.write(b"x")
    with storage.open(artifact_id) as stored:
        stored.read()
    list(storage.older_than(0.0))
    storage.delete(artifact_id)
    assert {"put", "head", "next", "delete"} <= set(ran)
    assert len(ran) >= 6


def test_without_a_bucket_artifacts_are_in_a_folder(tmp_path: Path) -> None:
    storage = storage_of(Settings(home=str(tmp_path)))
    assert not isinstance(storage, Bucket)
    with storage.create() as (artifact_id, file):
        file.write(b"x")
    assert re.fullmatch(r"[0-9a-f]{32}", next((tmp_path / "artifacts").glob("*/*")).name)
    storage.delete(artifact_id)
