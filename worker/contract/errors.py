"""What a handler raises to say how its attempt ended."""


class JobError(Exception):
    """An attempt that did not succeed. The text reaches the client: no secrets in it.

    Any other exception of a handler counts as a failed attempt that may be retried, and only its type
    and a masked text are shown.
    """


class Retryable(JobError):  # noqa: N818 - the word of the contract: it says what follows, not what broke
    """Worth another attempt.

    Args:
        message: what went wrong, for the client.
        after: seconds to wait before the next attempt, where the other side said so (RFC 9110
            `Retry-After`); otherwise the kind's backoff decides.
    """

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Fatal(JobError):  # noqa: N818 - as above
    """No further attempt can help; the job ends failed."""


class Cancelled(JobError):  # noqa: N818 - as above
    """The handler stopped because a cancel was requested; raised by `Context.check_cancelled`."""


class DeadlineExceeded(Retryable):
    """The attempt ran longer than its deadline."""
