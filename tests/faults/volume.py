"""A small file system, to be filled to the brim."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


@contextmanager
def mounted(place: Path, size: int) -> Iterator[None]:
    """Mount a file system of so many bytes at a folder, which is made, for as long as a `with` block."""
    place.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mounting, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def full(place: Path) -> Iterator[None]:
    """Leave no room on the file system of a folder, not even what others give back meanwhile."""
    ballast = place / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for piece in (MIB, 4096, 1):
                _fill(file.fileno(), piece)
            yield
    finally:
        ballast.unlink()


def _fill(descriptor: int, piece: int) -> None:
    try:
        while True:
            os.write(descriptor, b"\0" * piece)
    except OSError:
        pass
