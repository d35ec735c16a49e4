"""Where artifacts are kept: in a folder, or in an object store.

What speaks to object stores takes every process 4 MB, so it is loaded where there is one.
"""

import os

from worker.settings import Settings
from worker.storage import Apart, Storage, here


def storage_of(settings: Settings, apart: Apart = here) -> Storage:
    """Where the settings say that artifacts are.

    Args:
        settings: `storage_url` and what belongs to it.
        apart: runs what blocks, where this process must not.
    """
    if settings.storage_url is None:
        folder = settings.home_path / "artifacts"
        return Storage(folder, lambda descriptor: apart(os.fsync, descriptor))
    from worker.bucket import Bucket, store_of  # noqa: PLC0415 - see above

    return Bucket(store_of(settings), settings.home_path, apart)
