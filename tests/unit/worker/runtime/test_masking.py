import pytest

from worker.runtime.masking import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("cannot reach postgresql://joe:s3cret@db/x", "cannot reach postgresql://***@db/x"),
        ("redis://:s3cret@127.0.0.1:6379/0 is away", "redis://***@127.0.0.1:6379/0 is away"),
        ("https://user@example.test/", "https://***@example.test/"),
        ("postgresql://joe:s3@cre/t@db/x", "postgresql://***@db/x"),
        ("password=s3cret", "password=***"),
        ("passwd: s3cret rest", "passwd: *** rest"),
        ("DB_PASSWORD=s3cret", "DB_PASSWORD=***"),
        ("{'password': 's3 cret'}", "{'password': ***}"),
        ('{"client_secret": "s3 cret", "id": 1}', '{"client_secret": ***, "id": 1}'),
        ("api_key = s3cret", "api_key = ***"),
        ("apikey:s3cret", "apikey:***"),
        ("x-api-key: s3cret", "x-api-key: ***"),
        ("Authorization: Bearer s3cret", "Authorization: ***"),
        ("authorization: Basic s3cret", "authorization: ***"),
        ("Set-Cookie: session=s3cret", "Set-Cookie: ***"),
        ("access_token=s3cret&next=1", "access_token=***"),
        ("nothing to hide at https://example.test/path", "nothing to hide at https://example.test/path"),
        ("", ""),
    ],
)
def test_what_may_be_secret_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
