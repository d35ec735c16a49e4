from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from worker.settings import Settings, SettingsError, unknown_variables


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_variables_are_named_after_their_settings() -> None:
    settings = Settings.from_environment(
        {
            "JOBYARD_DATABASE_URL": "postgresql://h/d",
            "JOBYARD_API_PORT": "0",
            "JOBYARD_LEASE": "4.5",
            "API_PORT": "1",
            "HOME": "/elsewhere",
        }
    )
    assert (settings.database_url, settings.api_port, settings.lease) == ("postgresql://h/d", 0, 4.5)
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
    )
    assert Settings.from_environment(settings.environment()) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().lease = 1.0  # type: ignore[misc]  # that is the point


def test_misspelt_variables_are_found() -> None:
    environ = {"JOBYARD_API_PROT": "1", "JOBYARD_API_PORT": "1", "PATH": "/bin"}
    assert unknown_variables(environ) == ["JOBYARD_API_PROT"]


def test_every_setting_says_what_it_is() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    assert [name for name, field in schema.items() if not field.get("description", "").endswith(".")] == []
