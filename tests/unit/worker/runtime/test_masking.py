import pytest

from worker.runtime.masking import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("cannot reach postgresql://joe:s3cret@db/x", "cannot reach postgresql://***@db/x"),
        ("redis://:s3cret@127.0.0.1:6379/0 is away", "redis://***@127.0.0.1:6379/0 is away"),
        ("https://user@example.test/", "https://***@example.test/"),
        ("password=s3cret", "password=***"),
        ("passwd: s3cret rest", "passwd: *** rest"),
        ("api_key = s3cret", "api_key = ***"),
        ("apikey:s3cret", "apikey:***"),
        ("Authorization: Bearer s3cret", "Authorization: ***"),
        ("authorization: Basic s3cret", "authorization: ***"),
        ("the token s3cret was refused", "the token *** was refused"),
        ("nothing to hide at https://example.test/path", "nothing to hide at https://example.test/path"),
        ("", ""),
    ],
)
def test_what_may_be_secret_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
