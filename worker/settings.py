"""Frozen settings: the only reader of the environment.

Every setting is one field, its variable is ``JOBYARD_`` and the field's name in capitals; with ``_FILE``
behind it, the variable names a file that holds the value, as containers are given their secrets. Only the
composition roots call `Settings.from_environment`; everything else is handed a `Settings`.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
from msgspec import Meta

PREFIX = "JOBYARD_"
FROM_FILE = "_FILE"  # behind a variable that names the file with the value

SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

_ADDRESS = r'[^\s<>()\[\],;:@"\\]+@[^\s<>()\[\],;:@"\\]+'
_MAILBOX = re.compile(  # RFC 5322, section 3.4: a mailbox, without the comments and quotings nobody writes
    rf"""{_ADDRESS}|(?:"[^"\\\x00-\x1f]*" ?|[^<>()\[\],;:@"\\\x00-\x1f]*)<{_ADDRESS}>"""
)

_SOURCE = re.compile(rf"{PREFIX}SOURCE_([A-Z][A-Z0-9_]*)_URL")

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Network = IPv4Network | IPv6Network
DatabaseUrl = Annotated[str, Meta(pattern=r"^postgres(ql)?(\+psycopg2)?://")]
SmtpUrl = Annotated[str, Meta(pattern=r"^(smtp|smtps|smtp\+starttls)://[^/]+/?$")]
StorageUrl = Annotated[str, Meta(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()/-]*)?$")]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/@?#]+/?$")]
BrokerUrl = Annotated[str, Meta(pattern=r"^(rediss?|sentinel|amqps?|pyamqp)://")]


class SettingsError(ValueError):
    """A variable of the environment has a value that its setting cannot take."""


@dataclasses.dataclass(frozen=True)
class SmtpServer:
    """The mail server that `smtp_url` names."""

    scheme: str  # smtp, smtp+starttls or smtps
    host: str
    port: int
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings with their defaults; times are seconds and sizes bytes, unless the name says else."""

    home: Annotated[str, Meta(description="Folder for data, logs, keys and artifacts.")] = ".jobyard"

    database_url: Annotated[
        DatabaseUrl | None,
        Meta(description="PostgreSQL that holds the ledger; unset: the embedded server."),
    ] = None
    database_read_url: Annotated[
        DatabaseUrl | None, Meta(description="A replica for lists; unset: the writing server.")
    ] = None
    database_pool_size: Annotated[Count, Meta(description="Kept connections of one process.")] = 4
    database_pool_overflow: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="Connections beyond the pool, closed after use.")
    ] = 8
    database_pool_timeout: Annotated[Seconds, Meta(description="How long to wait for a free connection.")] = (
        5.0
    )
    database_pool_recycle: Annotated[
        Seconds, Meta(description="Age at which a kept connection is replaced.")
    ] = 1800.0
    database_connect_timeout: Annotated[
        Count, Meta(description="How long opening a connection may take.")
    ] = 5
    database_statement_timeout: Annotated[
        Seconds, Meta(description="How long one statement of the ledger may run.")
    ] = 10.0
    database_idle_timeout: Annotated[
        Seconds,
        Meta(
            description="How long a transaction of the ledger may wait for its next statement; then the"
            " server ends its session, for whoever began it is gone."
        ),
    ] = 15.0

    broker_url: Annotated[
        BrokerUrl | None,
        Meta(description="Redis, Valkey or RabbitMQ that carries messages; unset: the embedded Valkey."),
    ] = None
    broker_depth: Annotated[
        Count, Meta(description="Messages of one queue kept in the broker; the ledger holds the rest.")
    ] = 2000

    storage_url: Annotated[
        StorageUrl | None,
        Meta(description="Bucket, s3://name/prefix, of artifacts; unset: the folder `artifacts` of HOME."),
    ] = None
    storage_endpoint: Annotated[
        HttpUrl | None, Meta(description="Where the object store is, if it is not Amazon's.")
    ] = None
    storage_region: Annotated[str, Meta(description="Region of the bucket.")] = "us-east-1"
    storage_key: Annotated[
        str | None,
        Meta(description="Access key of the object store; unset: what the machine's role gives."),
    ] = None
    storage_secret: Annotated[str | None, Meta(description="The secret of that key.")] = None

    api_host: Annotated[str, Meta(description="Address that the API listens on.")] = "127.0.0.1"
    api_port: Annotated[Port, Meta(description="Port of the API; 0 picks a free one.")] = 8080
    api_metrics_port: Annotated[Port, Meta(description="Port of the API's metrics; 0 picks a free one.")] = 0
    api_workers: Annotated[Count, Meta(description="Processes of gunicorn.")] = 2
    api_max_body: Annotated[Count, Meta(description="Largest JSON body that the API reads.")] = 1024 * 1024
    api_max_batch: Annotated[Count, Meta(description="Largest body of a batch that the API reads.")] = (
        32 * 1024 * 1024
    )
    api_max_artifact: Annotated[Count, Meta(description="Largest artifact that a client may upload.")] = (
        100 * 1024 * 1024
    )
    api_max_wait: Annotated[Seconds, Meta(description="Longest `Prefer: wait` that is granted.")] = 60.0
    rate_limit: Annotated[
        Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,8}/(second|minute|hour|day))?$")],
        Meta(description="Requests that one API key may send: 600/minute; empty: any number."),
    ] = ""
    live_jobs: Annotated[
        Count | None,
        Meta(description="Jobs that have not ended that one client may have, about; unset: any number."),
    ] = None
    uploads: Annotated[
        Count | None,
        Meta(description="Files that one client may keep uploaded; unset: any number."),
    ] = None
    upload_bytes: Annotated[
        Count | None,
        Meta(description="Bytes that these files may have together; unset: any number."),
    ] = None
    api_cache: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="How long the broker's Redis keeps a job that succeeded for its readers; 0: not."),
    ] = 60.0
    api_drain_delay: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(
            description="How long a stopping API still accepts connections while /readyz answers 503: longer"
            " than the balancer in front takes to see it."
        ),
    ] = 0.5

    api_url: Annotated[
        str | None, Meta(description="Where commands find the API; unset: the platform of HOME.")
    ] = None
    api_key: Annotated[
        str | None, Meta(description="The key of commands; unset: the first client's, of HOME.")
    ] = None

    flower_host: Annotated[str, Meta(description="Address that Flower listens on.")] = "127.0.0.1"
    flower_port: Annotated[Port, Meta(description="Port of Flower; 0 picks a free one.")] = 5555
    flower_user: Annotated[str, Meta(description="Name of Flower's login.")] = "operator"
    flower_password: Annotated[
        str | None, Meta(description="Password of Flower's login; unset: made once and kept under HOME.")
    ] = None

    metrics_host: Annotated[
        str, Meta(description="Address that the metrics of a worker or beat listen on.")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        Port, Meta(description="Port of a worker's or beat's metrics; 0 picks a free one.")
    ] = 0
    database_port: Annotated[
        Port, Meta(description="Port of the embedded PostgreSQL; 0 picks a free one.")
    ] = 0
    broker_port: Annotated[Port, Meta(description="Port of the embedded Valkey; 0 picks a free one.")] = 0
    server_user: Annotated[
        str, Meta(description="Account of the embedded servers when the platform runs as root.")
    ] = "nobody"

    lease: Annotated[
        Seconds,
        Meta(
            description="How long claims hold without a heartbeat of their worker. With less than two"
            " heartbeats and 3 s, one connection that is lost without a word can lose its jobs."
        ),
    ] = 8.0
    heartbeat: Annotated[Seconds, Meta(description="Time between two heartbeats of a worker.")] = 2.0
    stall: Annotated[
        Seconds,
        Meta(
            description="How long no message may reach a worker while its queues hold some and it has a slot"
            " free; then it counts as deaf, and exits to be started again."
        ),
    ] = 30.0
    loss_cap: Annotated[
        Count, Meta(description="Losses while alone in a process after which a job ends failed.")
    ] = 3
    worker_concurrency: Annotated[
        Count | None, Meta(description="Jobs at once of one worker; unset: the queue table's number.")
    ] = None
    worker_pool: Annotated[
        Literal["prefork", "threads", "gevent"] | None,
        Meta(description="prefork, threads or gevent; unset: the queue table's pool."),
    ] = None

    beat_tick: Annotated[Seconds, Meta(description="Time between two rounds of a beat.")] = 0.25
    reconcile_empty: Annotated[
        Seconds, Meta(description="Age at which a message missing from an empty queue is published again.")
    ] = 3.0
    reconcile_overtaken: Annotated[
        Seconds, Meta(description="Age at which a message that later ones overtook is published again.")
    ] = 5.0
    reconcile_stale: Annotated[
        Seconds, Meta(description="Age at which any unclaimed message is published again.")
    ] = 600.0
    schedules: Annotated[
        str | None, Meta(description="Folder with schedule files of your own, besides those that come along.")
    ] = None
    idempotency_retention: Annotated[
        Annotated[float, Meta(ge=24 * 3600)], Meta(description="How long an Idempotency-Key is remembered.")
    ] = 48 * 3600.0
    retention: Annotated[Seconds, Meta(description="How long a finished job stays readable.")] = 14 * 86400.0
    retention_succeeded: Annotated[
        Seconds | None,
        Meta(description="How long payload, result and artifacts of a job that succeeded are kept, if less."),
    ] = None
    retention_failed: Annotated[
        Seconds | None, Meta(description="The same, of one that failed; without them it cannot run again.")
    ] = None
    retention_cancelled: Annotated[
        Seconds | None, Meta(description="The same, of one that was cancelled.")
    ] = None
    audit_retention: Annotated[
        Annotated[float, Meta(ge=30 * 86400)],
        Meta(description="How long the audit log is kept; 30 days at least."),
    ] = 400 * 86400.0

    definitions: Annotated[
        str | None,
        Meta(description="Folder with your own data sources, statements, reports and templates."),
    ] = None
    sources: Annotated[
        dict[str, DatabaseUrl],
        Meta(
            description="The databases behind data sources: JOBYARD_SOURCE_<NAME>_URL, each one a variable."
        ),
    ] = {}

    smtp_url: Annotated[
        SmtpUrl | None,
        Meta(
            description="Mail server: smtp+starttls://user:password@host:587, smtps://…:465, or smtp://…:25"
            " without encryption; unset: the embedded sink, which sends nothing on."
        ),
    ] = None
    mail_from: Annotated[str, Meta(description="Sender of every mail.")] = "Jobyard <jobyard@localhost>"
    mail_max_bytes: Annotated[Count, Meta(description="Largest mail, attachments encoded.")] = (
        25 * 1024 * 1024
    )
    mail_port: Annotated[Port, Meta(description="Port of the embedded mail sink; 0 picks a free one.")] = 0

    kinds: Annotated[
        str,
        Meta(description="Packages with kinds of your own, comma-separated, beside those of entry points."),
    ] = ""
    web_allow: Annotated[
        str,
        Meta(
            description="Networks, comma-separated, that web.fetch and callbacks may reach though not global."
        ),
    ] = ""
    callback_http: Annotated[
        bool,
        Meta(description="Whether callbacks may go to http:// URLs, where anybody on the way can read them."),
    ] = False

    log_level: Annotated[
        Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"],
        Meta(description="Least severe level that is logged."),
    ] = "INFO"
    log_rotation: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9.]+ ([KMG]B|hours?|days?|weeks?)$")],
        Meta(description="Size (50 MB) or age (1 day) at which a log file is rotated."),
    ] = "50 MB"
    log_retention: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9.]+ (hours?|days?|weeks?|months?)$")],
        Meta(description="Age (14 days) at which a rotated log file is deleted."),
    ] = "14 days"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from variables, and from the files that some name; empty ones count as unset.

        Raises:
            SettingsError: a value does not fit, or its file cannot be read; the message names the variable
                and the reason.
        """
        environ = _with_files(environ)
        given: dict[str, Any] = {
            field: environ[variable]
            for field in cls.__struct_fields__
            if field != "sources" and environ.get(variable := PREFIX + field.upper())
        }
        for field, text in given.items():
            _convert({field: text}, PREFIX + field.upper())
        settings = _convert(given | {"sources": _sources(environ)}, PREFIX)
        _check(settings)
        return settings

    @property
    def home_path(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.home).absolute()

    @property
    def definitions_path(self) -> Path | None:
        """The folder of definitions as an absolute path."""
        return None if self.definitions is None else Path(self.definitions).absolute()

    @property
    def kind_packages(self) -> tuple[str, ...]:
        """The packages of `kinds`."""
        return tuple(name.strip() for name in self.kinds.split(",") if name.strip())

    @property
    def web_networks(self) -> tuple[Network, ...]:
        """The networks of `web_allow`."""
        try:
            return tuple(ip_network(text.strip()) for text in self.web_allow.split(",") if text.strip())
        except ValueError as error:
            raise SettingsError(
                f"{PREFIX}WEB_ALLOW: {error}; give networks such as 127.0.0.0/8,fd00::/8"
            ) from None

    @property
    def smtp_server(self) -> SmtpServer | None:
        """The parts of `smtp_url`."""
        if self.smtp_url is None:
            return None
        try:
            url = urlsplit(self.smtp_url)
            port = url.port or SMTP_PORTS[url.scheme]
        except ValueError:  # its text may hold the password
            raise SettingsError(f"{PREFIX}SMTP_URL: cannot be parsed; percent-encode a login") from None
        return _smtp_server(url, port)

    def environment(self) -> dict[str, str]:
        """The variables that make these settings again: what a parent hands to a child process."""
        values: dict[str, Any] = msgspec.structs.asdict(self)
        values |= {f"source_{name}_url": url for name, url in values.pop("sources").items()}
        return {PREFIX + name.upper(): str(value) for name, value in values.items() if value is not None}


def is_redis(url: str) -> bool:
    """Whether a URL names Redis or Valkey, as opposed to RabbitMQ."""
    return url.split(":", 1)[0] in {"redis", "rediss"}


def source_variable(name: str) -> str:
    """The variable that holds the URL of a data source."""
    return f"{PREFIX}SOURCE_{name.upper()}_URL"


def unknown_variables(environ: Iterable[str]) -> list[str]:
    """Names that look like settings and are none: misspellings that would be ignored silently."""
    known = {PREFIX + field.upper() for field in Settings.__struct_fields__ if field != "sources"}
    meant = {name: name.removesuffix(FROM_FILE) for name in environ if name.startswith(PREFIX)}
    return sorted(name for name, of in meant.items() if of not in known and not _SOURCE.fullmatch(of))


def without_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables but for ours that name files: for a child that is handed the settings themselves."""
    naming = _naming_files(environ)
    return {name: value for name, value in environ.items() if name not in naming}


def _naming_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Our variables that name a file, and the variable whose value is there."""
    return {
        name: name.removesuffix(FROM_FILE)
        for name, path in environ.items()
        if name.startswith(PREFIX) and name.endswith(FROM_FILE) and path
    }


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, with the content of the files that some of ours name."""
    read = dict(environ)
    for naming, variable in _naming_files(environ).items():
        if environ.get(variable):
            raise SettingsError(f"{variable} and {naming} are both set: keep one of them")
        read[variable] = _content(naming, environ[naming])
    return read


def _content(naming: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError(f"{naming}: cannot read {path}: {reason}") from None


def _check(settings: Settings) -> None:
    """What must hold of a setting beyond its type, and of two of them together."""
    _ = settings.web_networks, settings.smtp_server
    _require_parts(f"{PREFIX}DATABASE_URL", settings.database_url)
    _require_parts(f"{PREFIX}DATABASE_READ_URL", settings.database_read_url)
    for name, url in settings.sources.items():
        _require_parts(source_variable(name), url)
    if (settings.broker_url or "").startswith("sentinel:"):
        raise SettingsError(
            f"{PREFIX}BROKER_URL: Redis Sentinel is not supported;"
            " give redis:// or rediss:// with an address that follows the primary"
        )
    if not _MAILBOX.fullmatch(settings.mail_from):
        raise SettingsError(
            f"{PREFIX}MAIL_FROM: {settings.mail_from!r} is not one address;"
            " give one such as Jobyard <jobyard@example.org>"
        )
    if (settings.storage_key is None) != (settings.storage_secret is None):
        raise SettingsError(f"{PREFIX}STORAGE_KEY and {PREFIX}STORAGE_SECRET belong together: set both")
    for state in ("succeeded", "failed", "cancelled"):
        if (getattr(settings, f"retention_{state}") or 0) > settings.retention:
            raise SettingsError(
                f"{PREFIX}RETENTION_{state.upper()} is longer than {PREFIX}RETENTION"
                f" ({settings.retention:g} s), after which nothing of a job is left"
            )
    if settings.lease < 2 * settings.heartbeat:
        raise SettingsError(
            f"{PREFIX}LEASE ({settings.lease} s) must be at least twice {PREFIX}HEARTBEAT"
            f" ({settings.heartbeat} s), or one late heartbeat loses a job"
        )


def _require_parts(variable: str, url: str | None) -> None:
    try:
        _ = url and urlsplit(url).port
    except ValueError:  # its text may hold the password
        advice = "percent-encode what is special in a password"
        raise SettingsError(f"{variable}: cannot be parsed; {advice}") from None


def _sources(environ: Mapping[str, str]) -> dict[str, str]:
    """The databases of data sources, by the source's name in lower case."""
    found = {}
    for variable, url in environ.items():
        if url and (named := _SOURCE.fullmatch(variable)):
            name = named[1].lower()
            _convert({"sources": {name: url}}, variable)
            found[name] = url
    return found


def _smtp_server(url: SplitResult, port: int) -> SmtpServer:
    host, user, password = url.hostname or "", unquote(url.username or ""), unquote(url.password or "")
    problems = {
        "names no host": not re.fullmatch(r"[\w.:-]+", host),
        "has a ? or # in it; percent-encode a login": url.query or url.fragment,
        "has a user without a password, or the other way round": bool(user) != bool(password),
        "has a login beyond printable ASCII, which smtplib cannot send": not re.fullmatch(
            r"[\x20-\x7e]*", user + password
        ),
        "would send the password unencrypted; use smtp+starttls:// or smtps://": user
        and url.scheme == "smtp"
        and not _is_loopback(host),
    }
    for problem, found in problems.items():
        if found:
            raise SettingsError(f"{PREFIX}SMTP_URL: {problem}")
    return SmtpServer(url.scheme, host, port, user or None, password or None)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _convert(given: dict[str, Any], variable: str) -> Settings:
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at ")[0]
        raise SettingsError(f"{variable}: {reason}") from None
