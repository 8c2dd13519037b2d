"""A namespace of its own on an API server without nodes, with something in it to change."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cluster.api import Api
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.cluster.record import Journal
from homeport.mapping import Mapping, Target
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.workflow.live_apply import LiveApplied, apply_live
from homeport.workflow.live_plan import LivePlan, plan_live
from tests.kit.cluster_contract import made, template
from tests.peers import kube
from tests.peers.kube import Kubernetes

TARGET = Target.parse("registry.example.com/mirror")
BROUGHT = [Reference.parse(name) for name in ("team/web:1", "team/report:3", "redislabs/redis:7.2.4-64")]
REPORT = {
    "schedule": "0 0 1 1 *",
    "jobTemplate": {"spec": {"template": template("team/report:3", restartPolicy="Never")}},
}


class Bench:
    """A namespace of its own, as admin."""

    def __init__(self, cluster: Kubernetes, name: str, folder: Path) -> None:
        self.cluster, self.name, self.folder = cluster, name, folder
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.create(kind="ServiceAccount", name="default", imagePullSecrets=[{"name": "theirs"}])

    def create(self, *, kind: str, name: str, **fields: Any) -> None:
        self.cluster.create(
            {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": self.name}, **fields}
        )

    def report(self, **metadata: Any) -> None:
        value = made("CronJob", "report", REPORT, api_version="batch/v1", namespace=self.name)
        value["metadata"] |= metadata
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump(value))

    def kubectl(self, *arguments: str, text: str = "") -> str:
        command = (kube.peer("kubectl"), "--kubeconfig", str(self.cluster.kubeconfig()), "-n", self.name, *arguments)
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()

    def image(self) -> str:
        return self.kubectl(
            "get", "cronjob", "report", "-o", "jsonpath={.spec.jobTemplate.spec.template.spec.containers[0].image}"
        )

    def journal(self, api: Api) -> Journal:
        return Journal(api, self.name, self.folder / "homeport.applied")

    def plan(self, api: Api, take_over: Sequence[str] = ()) -> LivePlan:
        secret = make_pull_secret("private", self.name, TARGET, Credential("ann", "s3cret-word"))
        known = lambda _: KNOWLEDGE  # noqa: E731  # what a release teaches is not the matter here
        return plan_live(api, [self.name], Mapping(TARGET), BROUGHT, known, secrets=[secret], take_over=take_over)

    def apply(self, api: Api) -> LiveApplied:
        return apply_live(api, self.plan(api), self.journal(api), namespace=self.name, silence=1)


@contextlib.contextmanager
def as_user(cluster: Kubernetes, user: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(user)))
    with Api(load_config()) as api:
        yield api
