"""The embedded PostgreSQL, which holds the ledger and, apart from it, a database for data to load."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from psycopg2.extensions import encrypt_password

from ops.embedded.account import Account, entering
from ops.embedded.binaries import PostgresBinaries, postgres_binaries
from ops.embedded.home import Home
from ops.embedded.leftovers import lives, stop_servers
from ops.embedded.passwords import password
from ops.embedded.program import ServerError
from ops.embedded.server import HOST, Server, require_owner
from ops.files import sync_folder

LEDGER = "jobyard"  # a database, and the role that owns it, which is no superuser
WAREHOUSE = "warehouse"  # another such pair, and the name of the data source
SUPERUSER = "postgres"

_PASSWORDS = {LEDGER: "database", WAREHOUSE: "warehouse"}  # each owner's, by the name of its file

_BUILTIN_LOCALES = 17  # the first major that has them
_CONNECT_SECONDS = 5

# Written once into postgresql.conf, which then is the operator's to change. Durability stays as it comes.
_CONFIGURATION = """
# Jobyard's defaults
max_connections = 200
# Who plans a claim locks all partitions with their indexes: 850 with 60 days, and at midnight all plan anew.
max_locks_per_transaction = 256
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""


class PostgresServer(Server):
    """PostgreSQL on loopback, with passwords, in HOME/postgres."""

    name = "postgres"
    role = "database"
    # Fast shutdown, then immediate shutdown, which the next start recovers from
    # (https://www.postgresql.org/docs/18/server-shutdown.html).
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))
    port_variable = "JOBYARD_DATABASE_PORT"

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the ledger's database."""
        return self._url_of(LEDGER)

    @property
    def sources(self) -> dict[str, str]:
        """The database for data to load."""
        return {WAREHOUSE: self._url_of(WAREHOUSE)}

    @property
    def folder(self) -> Path:
        """Its data."""
        return self.home.postgres

    def binary(self) -> Path:
        """The server's executable."""
        return postgres_binaries().postgres

    def clear(self) -> None:
        """Stop a server that still runs on this data folder, and what is left of one."""
        stop_servers("postgres", self.mark, self.stop_signals)
        _drop_stale_pid_file(self.folder / "postmaster.pid")

    def initialise(self, account: Account) -> Account:
        """Run initdb where there is no data folder yet."""
        binaries = postgres_binaries()
        if not self.folder.exists():
            _initialise(self.home, account, binaries)
        require_owner(self.folder, account)
        _require_major(self.folder, binaries.major)
        return entering(account, binaries.postgres, self.folder)

    def arguments(self, account: Account) -> tuple[str, ...]:
        """The data folder, and what must hold whatever postgresql.conf says."""
        options = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "logging_collector": "off",  # its output is kept by whoever started it
            "cluster_name": self.mark,  # stands in the title of each of its processes
        }
        return (
            "-D",
            str(account.path(self.folder)),
            *(f"--{name}={value}" for name, value in options.items()),
        )

    def answers(self) -> bool:
        """Connect as the superuser, and see to it that the databases and their owners exist."""
        secret = password(self.home.secrets, "database-superuser")
        try:
            connection = psycopg2.connect(
                host=HOST,
                port=self.port,
                dbname="postgres",
                user=SUPERUSER,
                password=secret,
                connect_timeout=_CONNECT_SECONDS,
                sslmode="disable",
                gssencmode="disable",
            )
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServerError(
                    f"the password in {self.home.secrets} does not open {self.folder}: put back the one"
                    " that it was made with"
                ) from None
            return False
        with closing(connection):
            connection.autocommit = True  # CREATE DATABASE runs in no transaction
            for name in _PASSWORDS:
                _provide_database(connection, name, self._secret(name))
        return True

    def _url_of(self, name: str) -> str:
        return f"postgresql+psycopg2://{name}:{self._secret(name)}@{HOST}:{self.port}/{name}"

    def _secret(self, name: str) -> str:
        return password(self.home.secrets, _PASSWORDS[name])


def _initialise(home: Home, account: Account, binaries: PostgresBinaries) -> None:
    """Make the data folder under another name first: a killed initdb leaves no half of one."""
    for abandoned in home.path.glob("postgres-new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="postgres-new-", dir=home.path))
    try:
        account.own(new)
        _initdb(entering(account, binaries.initdb, new), binaries, new, home)
        with open(new / "postgresql.conf", "a", encoding="utf-8", opener=_no_link) as file:
            file.write(_CONFIGURATION)
            file.flush()
            os.fsync(file.fileno())
        new.rename(home.postgres)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(home.path)


def _initdb(account: Account, binaries: PostgresBinaries, folder: Path, home: Home) -> None:
    with _handed_over(password(home.secrets, "database-superuser"), home.path, account) as descriptor:
        done = account.run(
            [
                str(binaries.initdb),
                f"--pgdata={account.path(folder)}",
                f"--username={SUPERUSER}",
                f"--pwfile=/dev/fd/{descriptor}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *_locale(binaries.major),
            ],
            folder,
            descriptors=(descriptor,),
        )
    if done.returncode != 0:
        raise ServerError(f"initdb failed: {(done.stderr or done.stdout).strip()}")


@contextmanager
def _handed_over(secret: str, folder: Path, account: Account) -> Iterator[int]:
    """A file without a name that the account may read."""
    with tempfile.TemporaryFile("w", dir=folder) as file:
        if os.geteuid() == 0:
            os.fchown(file.fileno(), *account.owner)
        file.write(secret)
        file.seek(0)
        yield file.fileno()


def _locale(major: int) -> tuple[str, ...]:
    """Text sorted by its code points: the same on every machine, and quick."""
    if major >= _BUILTIN_LOCALES:
        return ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return ("--locale=C",)


def _require_major(folder: Path, major: int) -> None:
    found = (folder / "PG_VERSION").read_text("utf-8").strip()
    if found != str(major):
        raise ServerError(
            f"{folder} was written by PostgreSQL {found}, and the server here is {major}: take the data"
            " over with pg_dump or pg_upgrade, or set JOBYARD_HOME to another folder"
        )


def _drop_stale_pid_file(path: Path) -> None:
    """Remove what a killed server left: PostgreSQL refuses to start while any process has the id in it."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except FileNotFoundError:
        return
    try:
        holder = psutil.Process(int(lines[0]))
        living = lives(holder) and holder.name() == "postgres"
    except (ValueError, psutil.NoSuchProcess):
        living = False
    if not living:
        path.unlink()


def _provide_database(connection: Connection, name: str, secret: str) -> None:
    """A database that its owner, the role of the same name, alone may connect to."""
    verifier = encrypt_password(secret, name, connection, "scram-sha-256")  # no secret in a statement
    named = sql.Identifier(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(named))
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(named), (verifier,))
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(named))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(named))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
