import pytest
from falcon.testing import create_req

from api.errors import Problem
from api.ranges import Part, wanted_part


def part_of(size: int, **headers: str) -> Part | None:
    return wanted_part(
        create_req(headers={name.replace("_", "-"): value for name, value in headers.items()}), size, "tag"
    )


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-4", Part(0, 4)),
        ("bytes=5-", Part(5, 9)),
        ("bytes=-3", Part(7, 9)),
        ("bytes=-30", Part(0, 9)),
        ("bytes=0-99", Part(0, 9)),
        ("bytes=9-9", Part(9, 9)),
    ],
)
def test_one_range_is_cut_to_the_file(asked: str, part: Part) -> None:
    assert part_of(10, Range=asked) == part


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,3-4", "lines=0-1", "bytes=b-a", "bytes=4-2", "bytes=", "5-6", "bytes=-0"]
)
def test_what_is_no_single_range_of_bytes_means_the_whole_file(asked: str) -> None:
    assert part_of(10, Range=asked) is None


@pytest.mark.parametrize(("asked", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_a_range_behind_the_end_cannot_be_satisfied(asked: str, size: int) -> None:
    with pytest.raises(Problem) as refused:
        part_of(size, Range=asked)
    assert refused.value.status_code == 416
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


def test_a_range_of_another_version_means_the_whole_file() -> None:
    assert part_of(10, Range="bytes=0-4", If_Range='"tag"') == Part(0, 4)
    assert part_of(10, Range="bytes=0-4", If_Range='"other"') is None
    assert part_of(10, Range="bytes=0-4", If_Range='W/"tag"') is None


def test_no_range_means_the_whole_file() -> None:
    assert part_of(10) is None
