"""What the doctor finds of sources, mail servers and files, on real servers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import AuthResult
from sqlalchemy import create_engine, make_url, text

from ops.doctor import Finding, examine
from ops.doctor.definitions import examine_definitions
from ops.doctor.mail import examine_mail
from ops.doctor.schedules import examine_schedules
from ops.embedded.ports import free_ports
from tests.unit.worker.definitions.folders import good, written
from worker.ledger.engines import for_psycopg2
from worker.settings import Settings

SECRET = "s3cret"

TABLES = """
[tables.orders]
modes = ["append", "upsert"]
key = ["id"]
columns = ["id", "name"]
"""

Execute = Callable[[str], None]


@pytest.fixture
def execute(database_url: str) -> Execute:
    def execute(sql: str) -> None:
        engine = create_engine(for_psycopg2(database_url))
        with engine.begin() as connection:
            connection.execute(text(sql))
        engine.dispose()

    return execute


@pytest.fixture
def orders(execute: Execute) -> Iterator[None]:
    execute("CREATE TABLE orders (id int PRIMARY KEY, name text)")
    yield
    execute("DROP TABLE orders")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    written(tmp_path, {"sources/shop.toml": TABLES})
    return Settings(
        database_url=database_url, definitions=str(tmp_path), sources={"shop": database_url}, mail_from="a@b"
    )


def of_source(settings: Settings, name: str = "shop") -> list[Finding]:
    return [finding for finding in examine_definitions(settings) if finding.subject == f"source {name}"]


def bad(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if not finding.good]


@pytest.mark.usefixtures("orders")
def test_a_source_in_order(settings: Settings) -> None:
    (finding,) = of_source(settings)
    assert finding.good
    assert finding.text.startswith("version ")


@pytest.mark.parametrize(
    "unique",
    [
        "CREATE UNIQUE INDEX ON things (b, a)",
        "ALTER TABLE things ADD UNIQUE (a, b)",
        "ALTER TABLE things ADD PRIMARY KEY (b, a)",
    ],
)
def test_any_unique_index_over_the_key_will_do(
    settings: Settings, execute: Execute, tmp_path: Path, unique: str
) -> None:
    table = '[tables.things]\nkey = ["a", "b"]\n'
    written(tmp_path, {"sources/shop.toml": table})
    execute("CREATE TABLE things (a int, b int, c int)")
    try:
        assert bad(of_source(settings)) == [
            "table public.things has no unique index over exactly a, b, and upsert needs one"
        ]
        execute(unique)
        assert bad(of_source(settings)) == []
    finally:
        execute("DROP TABLE things")


@pytest.mark.parametrize("index", ["(id)", "(lower(name))", "(name) WHERE id > 0", "(name, id)"])
def test_an_index_of_something_else_will_not(settings: Settings, execute: Execute, index: str) -> None:
    written(Path(settings.definitions or ""), {"sources/shop.toml": TABLES.replace('["id"]', '["name"]')})
    execute(f"CREATE TABLE orders (id int, name text); CREATE UNIQUE INDEX ON orders {index}")
    try:
        (found,) = bad(of_source(settings))
        assert "has no unique index over exactly name" in found
    finally:
        execute("DROP TABLE orders")


def test_a_table_that_is_not_there(settings: Settings) -> None:
    assert bad(of_source(settings)) == ["table public.orders is not there"]


@pytest.mark.usefixtures("orders")
def test_columns_that_are_not_there(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path, {"sources/shop.toml": TABLES.replace('"name"]', '"nmae", "a"]')})
    assert bad(of_source(settings)) == ["table public.orders has no column a, nmae"]


def test_what_the_role_of_the_url_may_not_write(settings: Settings, tmp_path: Path) -> None:
    files = {
        "sources/shop.toml": 'markers = "pg_catalog.applied"\n[tables.pg_class]\nschema = "pg_catalog"\n'
    }
    written(tmp_path, files)
    table, markers = bad(of_source(settings))
    assert table.startswith("table pg_catalog.pg_class may not be written: GRANT INSERT")
    assert "pg_catalog.applied, which notes the jobs that were applied, is not there" in markers
    assert markers.endswith("GRANT CREATE ON SCHEMA pg_catalog, or make it")


@pytest.mark.usefixtures("orders")
def test_a_schema_for_markers_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path, {"sources/shop.toml": 'markers = "nowhere.applied"\n' + TABLES})
    (found,) = bad(of_source(settings))
    assert "table nowhere.applied, which notes" in found


def test_a_source_that_is_only_read_needs_no_markers(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path, {"sources/shop.toml": 'markers = "nowhere.applied"\n'})
    assert bad(of_source(settings)) == []


def test_a_source_without_its_variable(settings: Settings) -> None:
    found = bad(of_source(msgspec.structs.replace(settings, sources={})))
    assert found == ["no URL: set JOBYARD_SOURCE_SHOP_URL"]


def test_variables_that_nothing_reads(settings: Settings, database_url: str) -> None:
    more = {"shop": database_url, "shopp": database_url, "ledger": database_url}
    settings = msgspec.structs.replace(settings, sources=more)
    assert bad(of_source(settings, "shopp")) == [
        "JOBYARD_SOURCE_SHOPP_URL is not read: no file declares sources/shopp.toml"
    ]
    assert bad(of_source(settings, "ledger")) == [
        "JOBYARD_SOURCE_LEDGER_URL is not read: the ledger's database is JOBYARD_DATABASE_URL"
    ]


def test_a_server_that_does_not_answer_says_why_and_no_password(settings: Settings) -> None:
    with closed_port() as port:
        url = f"postgresql://joe:{SECRET}@127.0.0.1:{port}/shop"
        (found,) = bad(of_source(msgspec.structs.replace(settings, sources={"shop": url})))
    assert "does not answer: " in found
    assert "Connection refused" in found
    assert SECRET not in found


def test_a_replica_that_does_not_answer_is_named_by_its_own_variable(settings: Settings) -> None:
    with closed_port() as port:
        url = f"postgresql://joe@127.0.0.1:{port}/ledger"
        (found,) = bad(of_source(msgspec.structs.replace(settings, database_read_url=url), "ledger"))
    assert found.endswith("see that it runs where JOBYARD_DATABASE_READ_URL says")


def test_a_login_that_is_refused_says_why_and_no_password(settings: Settings, database_url: str) -> None:
    url = make_url(database_url).set(password=SECRET).render_as_string(hide_password=False)
    (found,) = bad(of_source(msgspec.structs.replace(settings, sources={"shop": url})))
    assert "password authentication failed" in found
    assert SECRET not in found


def test_faults_of_definitions_are_findings_of_their_own(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path, good() | {"sources/shop.toml": "wrong = 1\nworse = 2\n"})
    assert [(finding.subject, finding.good) for finding in examine_definitions(settings)] == [
        ("definitions", False)
    ] * 2


def test_a_report_whose_query_the_source_refuses_is_found_with_its_line(
    settings: Settings, tmp_path: Path
) -> None:
    report = (
        'title = "Orders"\nsource = "shop"\n\n[tables.all]\nsql = "SELECT no_such_column FROM pg_class"\n'
    )
    written(tmp_path, {"reports/orders/report.toml": report})
    (fault,) = (finding for finding in examine_definitions(settings) if finding.subject == "report orders")
    assert fault.text.startswith(f"{tmp_path}/reports/orders/report.toml:5: ")
    assert "no_such_column" in fault.text


def test_a_template_that_cannot_be_filled_in_is_found_with_its_line(
    settings: Settings, tmp_path: Path
) -> None:
    files = {"template.toml": "", "subject.txt": "Hello", "body.txt": "Dear\n{% if %}"}
    written(tmp_path, {f"templates/hello/{name}": content for name, content in files.items()})
    (fault,) = (finding for finding in examine_definitions(settings) if finding.subject == "template")
    assert fault.text.startswith(f"{tmp_path}/templates/hello/body.txt:2: ")


def test_definitions_in_order_are_counted(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path, good())
    (finding,) = [finding for finding in examine_definitions(settings) if finding.subject == "definitions"]
    assert finding.good
    assert "sources: 2, " in finding.text


# ── mail ──────────────────────────────────────────────────────────────────────────────────────────────


class Counting(Sink):
    """Takes mails, of which there must be none."""

    def __init__(self) -> None:
        super().__init__()
        self.mails = 0

    async def handle_DATA(self, *_arguments: object) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails += 1
        return "250 OK"


@contextmanager
def mail_server(login: tuple[str, str] | None = None) -> Iterator[tuple[int, Counting]]:
    handler = Counting()

    def check(_server: object, _session: object, _envelope: object, _how: str, given: object) -> AuthResult:
        said = (getattr(given, "login", b"").decode(), getattr(given, "password", b"").decode())
        return AuthResult(success=said == login, handled=False)

    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=free_ports(1)[0],
        authenticator=check,
        auth_required=login is not None,
        auth_require_tls=False,
        ready_timeout=60.0,
    )
    controller.start()
    try:
        yield controller.port, handler
    finally:
        controller.stop()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_mail_server_is_greeted_and_given_no_mail() -> None:
    with mail_server() as (port, handler):
        (finding,) = examine_mail(Settings(smtp_url=f"smtp://127.0.0.1:{port}"))
    assert finding == Finding("mail server", good=True, text=f"smtp://127.0.0.1:{port}")
    assert handler.mails == 0


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # loopback
def test_a_login_at_the_mail_server_is_tried() -> None:
    with mail_server(login=("joe", SECRET)) as (port, _):
        (good_one,) = examine_mail(Settings(smtp_url=f"smtp://joe:{SECRET}@127.0.0.1:{port}"))
        (bad_one,) = examine_mail(Settings(smtp_url=f"smtp://joe:not-{SECRET}@127.0.0.1:{port}"))
    assert (good_one.good, good_one.text) == (True, f"smtp://127.0.0.1:{port}, as joe")
    assert not bad_one.good
    assert "login" in bad_one.text
    assert SECRET not in bad_one.text


def test_a_mail_server_that_does_not_answer() -> None:
    with closed_port() as port:
        (finding,) = examine_mail(Settings(smtp_url=f"smtp://joe:{SECRET}@127.0.0.1:{port}"))
    assert not finding.good
    assert "Connection refused; see that it runs where JOBYARD_SMTP_URL says" in finding.text
    assert SECRET not in finding.text


def test_a_server_that_is_no_mail_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        (finding,) = examine_mail(Settings(smtp_url=f"smtp://127.0.0.1:{listening.getsockname()[1]}"))
        thread.join()
    assert not finding.good


def test_no_mail_server_is_a_finding() -> None:
    (finding,) = examine_mail(Settings())
    assert not finding.good
    assert "JOBYARD_SMTP_URL" in finding.text


def test_a_sender_that_no_mail_can_have_is_a_finding() -> None:
    found = bad(list(examine_mail(Settings(mail_from="nobody"))))
    assert "JOBYARD_MAIL_FROM is no address such as" in found[0]


# ── schedules, and all together ───────────────────────────────────────────────────────────────────────


def test_schedules_are_read_as_a_beat_reads_them(tmp_path: Path) -> None:
    settings = Settings(schedules=str(tmp_path))
    assert [finding.good for finding in examine_schedules(settings)] == [True]
    written(tmp_path, {"nightly.toml": 'kind = "upkeep.prun"\ncron = "0 3 * * *"\n'})
    (finding,) = examine_schedules(settings)
    assert not finding.good
    assert finding.text.startswith(f"{tmp_path}/nightly.toml: kind: there is no kind 'upkeep.prun'")


def test_without_a_platform_everything_else_is_looked_at() -> None:
    found = {finding.subject: finding.good for finding in examine(Settings())}
    assert found["ledger"] is found["broker"] is found["mail server"] is False
    assert found["definitions"] is found["schedules"] is True
    assert "source ledger" not in found
