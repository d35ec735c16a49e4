"""A crowd sends whole requests, and looks at every answer."""

import json

import pytest

from ops.bench import speech
from ops.bench.course import Invalid


def test_no_two_submissions_are_alike() -> None:
    questions = speech.submissions("bench.noop", "jy_key")
    bodies = [json.loads(next(questions).partition(b"\r\n\r\n")[2]) for _ in range(3)]
    assert [body["payload"]["number"] for body in bodies] == [0, 1, 2]


def test_an_answer_counts_once_it_is_whole() -> None:
    answer = b'HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{"id":"1"}'
    assert speech.answer(answer[:20]) is None
    assert speech.answer(answer[:-1]) is None
    assert speech.answer(answer) == b'{"id":"1"}'


def test_an_answer_that_is_no_good_one_is_told() -> None:
    with pytest.raises(Invalid, match="503"):
        speech.answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def test_two_answers_with_the_same_id_do_not_count() -> None:
    assert speech.ids([b'{"id":"1"}', b'{"id":"2"}']) == {"1", "2"}
    with pytest.raises(Invalid, match="2 submissions made 1 jobs"):
        speech.ids([b'{"id":"1"}', b'{"id":"1"}'])


def test_commands_are_those_of_redis() -> None:
    assert speech.command(b"LPUSH", b"q", b"x") == b"*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$1\r\nx\r\n"
    assert speech.reply(b":1") is None
    assert speech.reply(b":1\r\n") == b":1\r\n"
    with pytest.raises(Invalid):
        speech.reply(b"-NOAUTH Authentication required.\r\n")
