import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import make_url

from ops.supervisor.roles import Role, role_table
from worker.settings import Settings, unknown_variables

TOP = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = msgspec.yaml.decode((TOP / "docker-compose.yml").read_bytes())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (TOP / "ops/docker/Dockerfile").read_text()
PASSWORDS = ("POSTGRES", "WAREHOUSE", "REDIS", "FLOWER")
USERS = {"postgres": "postgres", "redis": "redis", "mailpit": "nobody"}  # the servers' accounts


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: _given(str(value)) for name, value in service["environment"].items()}


def _given(value: str) -> str:
    """What Compose makes of a value where every password is `secret`, and nothing else is given."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{\w+:\?[^}]*\}", "secret", value))


SETTINGS = Settings.from_environment(environment(SERVICES["api"]))
ROLES = {role.name: role for role in role_table(SETTINGS)}
LASTING = {name: role for name, role in ROLES.items() if not role.once}

each_role = pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
each_lasting_role = pytest.mark.parametrize("role", LASTING.values(), ids=LASTING)
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_services_are_the_servers_and_the_roles_of_the_supervisor() -> None:
    assert set(SERVICES) == set(USERS) | set(ROLES)


@each_role
def test_a_service_runs_the_command_of_its_role(role: Role) -> None:
    words = role.argv[3:]  # behind `python -m ops`
    expected = words[:1] if role.once else words  # the key that `up` makes is made by hand here
    assert SERVICES[role.name]["command"] == list(expected)


@each_lasting_role
def test_a_service_gets_the_grace_of_its_role_to_stop(role: Role) -> None:
    assert SERVICES[role.name]["stop_grace_period"] == f"{role.grace:g}s"


@each_role
def test_every_variable_of_a_role_is_a_setting_with_a_value_that_fits(role: Role) -> None:
    variables = environment(SERVICES[role.name])
    assert unknown_variables(variables) == []
    settings = Settings.from_environment(variables)
    assert settings.database_url
    assert settings.broker_url
    assert settings.smtp_url
    assert set(settings.sources) == {"warehouse"}


def test_the_warehouse_is_made_for_the_role_that_its_url_names() -> None:
    url = make_url(SETTINGS.sources["warehouse"])
    made = (TOP / "ops/docker/warehouse.sql").read_text()
    assert f"CREATE ROLE {url.username} " in made
    assert f"CREATE DATABASE {url.database} OWNER {url.username};" in made
    assert f"REVOKE ALL ON DATABASE {make_url(SETTINGS.database_url or '').database}, " in made
    assert "JOBYARD_WAREHOUSE_PASSWORD" in made
    assert "JOBYARD_WAREHOUSE_PASSWORD" in SERVICES["postgres"]["environment"]


def test_mails_go_to_the_service_that_catches_them() -> None:
    assert SETTINGS.smtp_server is not None
    assert SETTINGS.smtp_server.host in SERVICES


@each_service
def test_every_image_is_one_version_of_something(service: dict[str, Any]) -> None:
    assert service["image"] == "jobyard" or re.fullmatch(r"[\w/]+:v?\d+(\.\d+)*", service["image"])


@each_lasting_role
def test_a_role_is_ready_when_the_port_of_its_settings_answers(role: Role) -> None:
    service = SERVICES[role.name]
    settings = Settings.from_environment(environment(service))
    ports = {"api": settings.api_port, "flower": settings.flower_port}
    port = ports.get(role.name, settings.metrics_port)
    assert re.search(rf"127\.0\.0\.1[:/]{port}\b", " ".join(service["healthcheck"]["test"]))


@each_lasting_role
def test_a_role_starts_on_a_migrated_ledger_and_not_as_process_1(role: Role) -> None:
    service = SERVICES[role.name]
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service["init"] is True


@each_service
def test_no_service_has_rights_or_writes_beside_its_volumes(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_service_runs_as_root() -> None:
    assert int(re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1]) > 0
    for name, service in SERVICES.items():
        assert service.get("user") == USERS.get(name)


@each_service
def test_what_is_published_is_published_to_this_machine_alone(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_password_must_be_given() -> None:
    used = set(re.findall(r"\$\{JOBYARD_\w*PASSWORD[^}]*\}", str(SERVICES)))
    assert used == {f"${{JOBYARD_{name}_PASSWORD:?set it}}" for name in PASSWORDS}


@each_role
def test_all_roles_share_the_folder_of_artifacts(role: Role) -> None:
    home = re.search(r"JOBYARD_HOME=(\S+)", DOCKERFILE)
    assert home
    assert SERVICES[role.name]["volumes"] == [f"home:{home[1]}"]
