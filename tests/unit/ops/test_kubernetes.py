import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ops.supervisor.roles import Role, role_table
from worker.contract.queues import ISOLATION, QUEUES, WORKERS
from worker.settings import Settings, unknown_variables

Manifest = dict[str, Any]

FOLDER = Path(__file__).parents[3] / "ops/k8s"
KUSTOMIZATION: Manifest = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[Manifest] = [
    manifest
    for resource in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((FOLDER / resource).read_text())
]
VERSIONS = ("1.31.0", "1.37.0")  # the oldest that we look at, and the newest
GIVEN = dict(
    line.split("=", 1)
    for line in (FOLDER / "settings.env").read_text().splitlines()
    if line and not line.startswith("#")
)
SECRETS = "/run/secrets/jobyard/"
SECRET = {
    "database_url": "postgresql://h/d",
    "broker_url": "redis://h",
    "smtp_url": "smtp://h",
    "flower_password": "hush",
    "storage_key": "key",
    "storage_secret": "hush",
}
# What KEDA takes, as far as it is used here: https://keda.sh/docs/2.18/reference/scaledobject-spec/
SCALED_OBJECT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["scaleTargetRef", "triggers"],
    "properties": {
        "scaleTargetRef": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
        },
        "minReplicaCount": {"type": "integer"},
        "maxReplicaCount": {"type": "integer"},
        "pollingInterval": {"type": "integer"},
        "advanced": {"type": "object", "required": ["horizontalPodAutoscalerConfig"]},
        "triggers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "metadata", "authenticationRef"],
                "properties": {
                    "type": {"const": "postgresql"},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                    "authenticationRef": {"type": "object", "required": ["name"]},
                },
            },
        },
    },
}


def named(kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in MANIFESTS if manifest["kind"] == kind}


def is_keda(manifest: Manifest) -> bool:
    return manifest["apiVersion"].startswith("keda.sh/")


RUNNING = named("Deployment") | named("Job")
SCALED = named("ScaledObject")


def container(name: str) -> Manifest:
    (only,) = RUNNING[name]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(name: str) -> dict[str, str]:
    """The variables of a workload, with the values of its secrets in place of their files."""
    own = {variable["name"]: variable["value"] for variable in container(name).get("env", [])}
    return {
        variable.removesuffix("_FILE"): SECRET[value.removeprefix(SECRETS)]
        if value.startswith(SECRETS)
        else value
        for variable, value in (GIVEN | own).items()
    }


ROLES = {role.name: role for role in role_table(Settings.from_environment(environment("api")))}

each_role = pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
each_lasting_role = pytest.mark.parametrize(
    "role", [role for role in ROLES.values() if not role.once], ids=lambda role: role.name
)
each_worker = pytest.mark.parametrize("name", WORKERS)
each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
@pytest.mark.parametrize(
    "manifest",
    [manifest for manifest in MANIFESTS if not is_keda(manifest)],
    ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}",
)
def test_a_manifest_is_what_kubernetes_takes(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_manifest_with_a_misspelling_would_be_refused() -> None:
    wrong = RUNNING["beat"] | {"spec": RUNNING["beat"]["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="'replica' was unexpected"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("manifest", SCALED.values(), ids=SCALED)
def test_a_rule_of_scaling_is_what_keda_takes(manifest: Manifest) -> None:
    jsonschema.validate(manifest["spec"], SCALED_OBJECT)
    (trigger,) = manifest["spec"]["triggers"]
    (asked,) = named("TriggerAuthentication")[trigger["authenticationRef"]["name"]]["spec"]["secretTargetRef"]
    assert (asked["parameter"], asked["key"]) == ("connection", "database_url")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_puts_it_all_together() -> None:
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(MANIFESTS) + 1  # and the settings
    for manifest in built:
        assert manifest["metadata"].get("namespace", "jobyard") == "jobyard"
        if not is_keda(manifest):
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_the_workloads_are_the_roles_of_the_supervisor() -> None:
    assert set(RUNNING) == set(ROLES)
    assert {name for name in RUNNING if RUNNING[name]["kind"] == "Job"} == {"migrate"}


@each_role
def test_a_workload_runs_the_command_of_its_role(role: Role) -> None:
    words = list(role.argv[3:])  # behind `python -m ops`
    if role.once:  # the key that `up` makes is made by hand here
        words = words[: words.index("--first-key")]
    assert container(role.name)["args"] == words
    assert container(role.name)["image"] == ("jobyard" if role.role == "worker" else "jobyard-api")


@each_lasting_role
def test_a_pod_gets_the_grace_of_its_role_to_stop(role: Role) -> None:
    pod = RUNNING[role.name]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == role.grace


@each_role
def test_every_variable_of_a_role_is_a_setting_with_a_value_that_fits(role: Role) -> None:
    variables = environment(role.name)
    assert unknown_variables(variables) == []
    assert Settings.from_environment(variables).database_url


@each_lasting_role
def test_a_probe_asks_the_port_of_the_settings(role: Role) -> None:
    settings = Settings.from_environment(environment(role.name))
    expected = {"api": settings.api_port, "flower": settings.flower_port}.get(
        role.name, settings.metrics_port
    )
    ports = {port["name"]: port["containerPort"] for port in container(role.name)["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ports[container(role.name)[probe]["httpGet"]["port"]] == expected


@each_lasting_role
def test_a_pod_lives_while_its_pulse_does_and_takes_no_outage_for_its_own(role: Role) -> None:
    alive = container(role.name)["livenessProbe"]["httpGet"]["path"]
    assert alive == ("/healthcheck" if role.name == "flower" else "/healthz")


@each_role
def test_no_pod_has_rights_or_writes_beside_its_volumes(role: Role) -> None:
    pod = RUNNING[role.name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container(role.name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@each_role
def test_a_pod_says_what_it_needs_and_may_take(role: Role) -> None:
    resources = container(role.name)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert "memory" in resources["limits"]
    # A timer of the kernel ends a worker that hangs, and spares process 1.
    assert RUNNING[role.name]["spec"]["template"]["spec"]["shareProcessNamespace"] is True


def test_a_disruption_takes_one_pod_of_a_role_at_a_time_and_never_the_last_of_two() -> None:
    budgets = named("PodDisruptionBudget")
    assert set(budgets) == set(ROLES) - {"migrate", "flower"}
    for name, budget in budgets.items():
        replicas = RUNNING[name]["spec"].get("replicas")
        assert budget["spec"] == {
            **({"minAvailable": 1} if replicas == 2 else {"maxUnavailable": 1}),
            "selector": {"matchLabels": RUNNING[name]["spec"]["template"]["metadata"]["labels"]},
        }


@each_worker
def test_a_worker_follows_the_backlog_of_its_queue_but_that_of_chores(name: str) -> None:
    (queue, *more) = WORKERS[name]
    workload = RUNNING[f"worker-{name}"]["spec"]
    if ISOLATION in more:
        assert workload["replicas"] == 1
        assert f"worker-{name}" not in SCALED
        return
    assert "replicas" not in workload  # or each `apply` would undo what the scaling did
    rule = SCALED[f"worker-{name}"]["spec"]
    assert rule["scaleTargetRef"]["name"] == f"worker-{name}"
    asked = rule["triggers"][0]["metadata"]
    assert f"'{queue.name}'" in asked["query"]
    assert {other for other in QUEUES if f"'{other}'" in asked["query"]} == {queue.name}
    target = int(asked["targetQueryValue"])
    assert target >= queue.concurrency  # one that is not full needs no second
    assert asked["query"].count(f"LIMIT {target * rule['maxReplicaCount']})") == 3


def test_every_secret_is_named_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text()
    used = {value.removeprefix(SECRETS) for value in GIVEN.values() if value.startswith(SECRETS)}
    assert used | {"flower_password"} == set(SECRET)
    assert [key for key in SECRET if f"--from-file={key}" not in readme] == []
