from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from worker.settings import Settings, SettingsError, source_variable, unknown_variables, without_files


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_variables_are_named_after_their_settings() -> None:
    settings = Settings.from_environment(
        {
            "JOBYARD_DATABASE_URL": "postgresql://h/d",
            "JOBYARD_API_PORT": "0",
            "JOBYARD_LEASE": "9.5",
            "API_PORT": "1",
            "HOME": "/elsewhere",
        }
    )
    assert (settings.database_url, settings.api_port, settings.lease) == ("postgresql://h/d", 0, 9.5)
    assert settings.home == Settings().home


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"JOBYARD_API_PORT": "", "JOBYARD_BROKER_URL": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("API_PORT", "eighty", "Expected `int`"),
        ("API_PORT", "-1", ">= 0"),
        ("API_PORT", "65536", "<= 65535"),
        ("LEASE", "0", "> 0"),
        ("LEASE", "soon", "Expected `float`"),
        ("API_WORKERS", "0", ">= 1"),
        ("WEB_ALLOW", "127.0.0.1/33", "does not appear to be"),
        ("WEB_ALLOW", "localhost", "give networks such as 127.0.0.0/8"),
        ("BROKER_URL", "sentinel://h:26379", "an address that follows the primary"),
        ("WORKER_CONCURRENCY", "many", "Expected `int | null`"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_variable(
    variable: str, value: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({f"JOBYARD_{variable}": value})
    assert f"JOBYARD_{variable}: " in str(caught.value)
    assert reason in str(caught.value)


def test_a_refusal_does_not_repeat_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(
            {"JOBYARD_DATABASE_URL": "postgresql://joe:s3cret@h/d", "JOBYARD_LEASE": "x"}
        )
    assert "s3cret" not in str(caught.value)


def test_a_lease_must_outlast_a_late_heartbeat() -> None:
    with pytest.raises(SettingsError, match=r"JOBYARD_LEASE \(3.0 s\) must be at least twice"):
        Settings.from_environment({"JOBYARD_LEASE": "3", "JOBYARD_HEARTBEAT": "2"})


def test_the_networks_are_parsed() -> None:
    settings = Settings(web_allow="127.0.0.0/8, fd00::/8,10.1.2.3")
    assert settings.web_networks == (
        ip_network("127.0.0.0/8"),
        ip_network("fd00::/8"),
        ip_network("10.1.2.3/32"),
    )
    assert Settings().web_networks == ()


def test_the_data_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(home="data").home_path == tmp_path / "data"


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = Settings(
        home="/data",
        database_url="postgresql://joe:s3cret@h/d",
        api_port=0,
        lease=9.5,
        worker_concurrency=3,
        web_allow="127.0.0.0/8",
        definitions="/definitions",
        sources={"shop": "postgresql://joe:s3cret@h/shop", "old_shop": "postgres://h/old"},
        smtp_url="smtps://joe:s3cret@mail.example.org",
        mail_from="Shop <shop@example.org>",
    )
    assert Settings.from_environment(settings.environment()) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().lease = 1.0  # type: ignore[misc]  # that is the point


def test_misspelt_variables_are_found() -> None:
    environ = {"JOBYARD_API_PROT": "1", "JOBYARD_API_PORT": "1", "PATH": "/bin"}
    assert unknown_variables(environ) == ["JOBYARD_API_PROT"]


def test_each_data_source_is_a_variable_of_its_own() -> None:
    settings = Settings.from_environment(
        {
            "JOBYARD_SOURCE_SHOP_URL": "postgresql://h/shop",
            "JOBYARD_SOURCE_OLD_SHOP_2_URL": "postgresql+psycopg2://h/old",
            "JOBYARD_SOURCE_EMPTY_URL": "",
        }
    )
    assert settings.sources == {"shop": "postgresql://h/shop", "old_shop_2": "postgresql+psycopg2://h/old"}
    assert source_variable("old_shop_2") == "JOBYARD_SOURCE_OLD_SHOP_2_URL"


@pytest.mark.parametrize(
    ("name", "url", "reason"),
    [
        ("SOURCE_SHOP_URL", "mysql://joe:s3cret@h/shop", "matching regex"),
        (
            "SOURCE_SHOP_URL",
            "postgresql://joe:s3cret/x@h/shop",
            "percent-encode what is special in a password",
        ),
        ("SOURCE_SHOP_URL", "postgresql://joe:s3cret#x@h/shop", "percent-encode"),
        ("SOURCE_SHOP_URL", "postgresql://joe:s3cret@[h/shop", "percent-encode"),
        ("DATABASE_URL", "postgresql://joe:s3cret/x@h/shop", "percent-encode"),
        ("DATABASE_READ_URL", "postgresql://joe:s3cret?x@h/shop", "percent-encode"),
    ],
)
def test_a_database_that_cannot_be_reached_by_its_url_is_refused_without_the_url(
    name: str, url: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({f"JOBYARD_{name}": url})
    assert str(caught.value).startswith(f"JOBYARD_{name}: ")
    assert reason in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_variables_that_only_look_like_sources_are_found() -> None:
    environ = ("JOBYARD_SOURCE_SHOP_URL", "JOBYARD_SOURCE_SHOP", "JOBYARD_SOURCE_shop_URL", "JOBYARD_SOURCES")
    assert unknown_variables(environ) == [
        "JOBYARD_SOURCES",
        "JOBYARD_SOURCE_SHOP",
        "JOBYARD_SOURCE_shop_URL",
    ]


def test_the_folder_of_definitions_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(definitions="mine").definitions_path == tmp_path / "mine"
    assert Settings().definitions_path is None


@pytest.mark.parametrize(
    "sender",
    [
        "jobyard@localhost",
        "Jobyard <jobyard@example.org>",
        "<jobyard@example.org>",
        '"Shop, Berlin" <a@b>',
        "Grüße <grüße@exämple.org>",
    ],
)
def test_mails_have_one_sender(sender: str) -> None:
    assert Settings.from_environment({"JOBYARD_MAIL_FROM": sender}).mail_from == sender


@pytest.mark.parametrize(
    "sender",
    [
        "Jobyard",
        "jobyard@",
        "@localhost",
        "a@b, c@d",
        "a@b c@d",
        "Shop, Berlin <a@b>",
        "Shop <a@b",
        "Shop <a@b> x",
        "a@b\nBcc: everybody@example.org",
        "Shop\r\nBcc: x <a@b>",
        "a@b\n",
        "group: a@b;",
    ],
)
def test_a_sender_that_is_no_one_address_is_refused(sender: str) -> None:
    with pytest.raises(
        SettingsError, match=r"JOBYARD_MAIL_FROM: .* is not one address; give one such as Jobyard"
    ):
        Settings.from_environment({"JOBYARD_MAIL_FROM": sender})


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("smtp://mail.example.org", ("smtp", "mail.example.org", 25, None, None)),
        ("smtp+starttls://mail/", ("smtp+starttls", "mail", 587, None, None)),
        ("smtps://joe%40b.c:p%40%3A%2F%20@mail", ("smtps", "mail", 465, "joe@b.c", "p@:/ ")),
        ("smtp://joe:hush@127.0.0.1:2525", ("smtp", "127.0.0.1", 2525, "joe", "hush")),
        ("smtp://joe:hush@[::1]", ("smtp", "::1", 25, "joe", "hush")),
    ],
)
def test_a_mail_server_is_taken_apart(url: str, parts: tuple[object, ...]) -> None:
    server = Settings.from_environment({"JOBYARD_SMTP_URL": url}).smtp_server
    assert server is not None
    assert (server.scheme, server.host, server.port, server.user, server.password) == parts
    assert "hush" not in repr(server)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://mail", "Expected `str` matching regex"),
        ("smtp://mail/path", "Expected `str` matching regex"),
        ("smtp://:25", "names no host"),
        ("smtp://mail?tls=no", "has a [?] or # in it"),
        ("smtp://mail:hush99", "cannot be parsed"),
        ("smtp://mail:70000", "cannot be parsed"),
        ("smtps://joe@mail", "has a user without a password"),
        ("smtps://:hush@mail", "has a user without a password"),
        ("smtps://joe:hush?x@mail", "cannot be parsed; percent-encode a login"),
        ("smtps://joe:hush#x@mail", "cannot be parsed; percent-encode a login"),
        ("smtps://joe:hüsh@mail", "has a login beyond printable ASCII"),
        ("smtps://joe:hush%0d%0aX@mail", "has a login beyond printable ASCII"),
        ("smtp://joe:hush@mail", "would send the password unencrypted"),
        ("smtp://joe:hush@127.0.0.1.example.org", "would send the password unencrypted"),
    ],
)
def test_a_mail_server_that_contradicts_itself_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"JOBYARD_SMTP_URL: .*({reason})") as caught:
        Settings.from_environment({"JOBYARD_SMTP_URL": url})
    assert "hush" not in str(caught.value)


def test_every_setting_says_what_it_is() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    assert [name for name, field in schema.items() if not field.get("description", "").endswith(".")] == []


def test_a_value_can_stand_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:hush@redis:6379/0\n")
    (tmp_path / "shop").write_text("postgresql://shop/shop")
    variables = {
        "JOBYARD_BROKER_URL_FILE": str(tmp_path / "url"),
        "JOBYARD_SOURCE_SHOP_URL_FILE": str(tmp_path / "shop"),
        "JOBYARD_SMTP_URL_FILE": "",
    }
    settings = Settings.from_environment(variables)
    assert settings.broker_url == "redis://:hush@redis:6379/0"
    assert settings.sources == {"shop": "postgresql://shop/shop"}
    assert settings.smtp_url is None
    assert unknown_variables(variables) == []
    assert Settings.from_environment(without_files(variables) | settings.environment()) == settings
    assert unknown_variables({"JOBYARD_BROKR_URL_FILE": ""}) == ["JOBYARD_BROKR_URL_FILE"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing", "No such file or directory"), (".", "Is a directory"), ("bytes", "it is no text in UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=f"^JOBYARD_BROKER_URL_FILE: cannot read .*{path}: {reason}$"):
        Settings.from_environment({"JOBYARD_BROKER_URL_FILE": str(tmp_path / path)})


def test_a_value_and_a_file_for_it_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JOBYARD_HOME and JOBYARD_HOME_FILE are both set"):
        Settings.from_environment({"JOBYARD_HOME": "a", "JOBYARD_HOME_FILE": str(tmp_path)})


def test_less_than_the_whole_job_is_not_kept_for_longer_than_the_job() -> None:
    assert Settings.from_environment({"JOBYARD_RETENTION_FAILED": "86400"}).retention_failed == 86400
    with pytest.raises(
        SettingsError, match=r"^JOBYARD_RETENTION_FAILED is longer than JOBYARD_RETENTION \(60 s"
    ):
        Settings.from_environment({"JOBYARD_RETENTION_FAILED": "61", "JOBYARD_RETENTION": "60"})


@pytest.mark.parametrize(
    ("url", "good"),
    [("s3://jobyard", True), ("s3://jobyard/a/b", True), ("s3://u:p@jobyard", False), ("s3:///a", False)],
)
def test_a_bucket_is_named_without_a_login(url: str, good: bool) -> None:  # noqa: FBT001 - a parameter
    if good:
        assert Settings.from_environment({"JOBYARD_STORAGE_URL": url}).storage_url == url
        return
    with pytest.raises(SettingsError, match=r"^JOBYARD_STORAGE_URL: "):
        Settings.from_environment({"JOBYARD_STORAGE_URL": url})


def test_half_a_key_of_the_object_store_is_refused() -> None:
    with pytest.raises(SettingsError, match="STORAGE_KEY and JOBYARD_STORAGE_SECRET belong together"):
        Settings.from_environment({"JOBYARD_STORAGE_KEY": "k"})
