"""Changing a real cluster on bad days: each ends in one clear sentence, with nothing lost."""

import base64
import contextlib
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cli.app import run
from homeport.cluster.api import Api
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.lease import Lease
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.cluster.record import Journal, Record
from homeport.errors import ClusterError, UsageError
from homeport.mapping import Mapping, Target
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.workflow.live_apply import LiveApplied, apply_live
from homeport.workflow.live_plan import LivePlan, plan_live
from homeport.workflow.live_rollback import plan_rollback, roll_back
from homeport.workflow.live_spread import plan_spread
from tests.kit.cluster_contract import made, template
from tests.kit.servers import write_certificate
from tests.peers import kube
from tests.peers.kube import Kubernetes
from tests.peers.kube_site import workload

pytestmark = pytest.mark.peers

TARGET = Target.parse("registry.example.com/mirror")
BROUGHT = [Reference.parse(name) for name in ("team/web:1", "team/report:3", "redislabs/redis:7.2.4-64")]
REPORT = {
    "schedule": "0 0 1 1 *",
    "jobTemplate": {"spec": {"template": template("team/report:3", restartPolicy="Never")}},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        kubernetes.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
        yield kubernetes


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


@pytest.fixture
def bench(cluster: Kubernetes, request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(cluster, re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-"), tmp_path)


@pytest.fixture
def api(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with as_user(cluster, "admin", monkeypatch) as api:
        yield api


@contextlib.contextmanager
def as_user(cluster: Kubernetes, user: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(user)))
    with Api(load_config()) as api:
        yield api


def test_what_others_put_in_lists_stays(bench: Bench, api: Api) -> None:
    spec = {
        "nodes": 3,
        "pullSecrets": [{"name": "theirs"}],
        "redisEnterpriseImageSpec": {"repository": "redislabs/redis", "versionTag": "7.2.4-64"},
    }
    rec = made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1", namespace=bench.name)
    before = bench.cluster.create(rec)["spec"]
    bench.report()
    assert bench.apply(api).failed is None
    accounts = bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}")
    assert accounts == "theirs private"
    after = yaml.safe_load(bench.kubectl("get", "redisenterprisecluster", "rec", "-o", "yaml"))["spec"]
    assert after["pullSecrets"] == [{"name": "theirs"}, {"name": "private"}]
    image = {"repository": "registry.example.com/mirror/redislabs/redis", "versionTag": "7.2.4-64"}
    assert after["redisEnterpriseImageSpec"] == image
    roll_back(api, plan_rollback(api, bench.journal(api).read()), bench.journal(api), namespace=bench.name)
    assert yaml.safe_load(bench.kubectl("get", "redisenterprisecluster", "rec", "-o", "yaml"))["spec"] == before
    assert bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}") == "theirs"


def test_a_rollback_leaves_what_somebody_else_has_changed_since(bench: Bench, api: Api) -> None:
    bench.report()
    assert bench.apply(api).failed is None
    bench.kubectl("set", "image", "cronjob/report", "c0=team/report:4")
    plan = plan_rollback(api, bench.journal(api).read())
    assert [(it.now, it.change.new, it.change.old) for it in plan.refused] == [
        ("team/report:4", "registry.example.com/mirror/team/report:3", "team/report:3")
    ]
    assert [it.object.kind for it in plan.restored] == ["ServiceAccount"]
    roll_back(api, plan, bench.journal(api), namespace=bench.name)
    assert bench.image() == "team/report:4"
    assert [it.object.kind for it in bench.journal(api).read().objects] == ["CronJob"]


def test_a_rollback_leaves_the_secret_to_what_goes_on_pulling_with_it(bench: Bench, api: Api) -> None:
    bench.report()
    assert bench.apply(api).failed is None
    bench.kubectl("set", "image", "cronjob/report", "c0=registry.example.com/mirror/team/report:4")
    plan = plan_rollback(api, bench.journal(api).read())
    assert (plan.restored, [it.kind for it in plan.needed]) == ((), ["ServiceAccount"])
    roll_back(api, plan, bench.journal(api), namespace=bench.name)
    assert bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}") == "theirs private"
    bench.kubectl("set", "image", "cronjob/report", "c0=registry.example.com/mirror/team/report:3")
    plan = plan_rollback(api, bench.journal(api).read())
    assert [it.object.kind for it in plan.restored] == ["CronJob", "ServiceAccount"]
    roll_back(api, plan, bench.journal(api), namespace=bench.name)
    assert bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}") == "theirs"
    assert bench.image() == "team/report:3"


def test_the_record_outlives_the_cluster_s_copy(bench: Bench, api: Api) -> None:
    bench.report()
    bench.apply(api)
    bench.kubectl("delete", "configmap", "homeport-applied")
    roll_back(api, plan_rollback(api, bench.journal(api).read()), bench.journal(api), namespace=bench.name)
    assert bench.image() == "team/report:3"
    assert bench.journal(api).read() == Record()


def test_two_at_once(bench: Bench, api: Api) -> None:
    bench.report()
    plan = bench.plan(api)
    Lease(api, bench.name, datetime.now(UTC))
    with pytest.raises(ClusterError, match="is changing this cluster now") as caught:
        apply_live(api, plan, bench.journal(api), namespace=bench.name)
    assert "its lease ends after 60 seconds" in caught.value.hint
    assert bench.image() == "team/report:3"


def test_the_lease_of_one_that_was_killed_runs_out(bench: Bench, api: Api) -> None:
    Lease(api, bench.name, datetime(2026, 1, 1, tzinfo=UTC))
    assert bench.apply(api).failed is None


def test_a_field_that_a_controller_sets_is_left(bench: Bench, api: Api) -> None:
    value = made("CronJob", "report", REPORT, api_version="batch/v1", namespace=bench.name)
    bench.kubectl("apply", "--server-side", "--field-manager=image-updater", "-f", "-", text=yaml.safe_dump(value))
    (left,) = bench.plan(api).left
    assert left.reason == (
        "image-updater set this field and goes on setting it: make the change there, or take it over (--take-over image-updater)"
    )
    assert bench.apply(api).failed is None
    assert bench.image() == "team/report:3"


def test_a_field_of_a_controller_is_taken_over_where_that_is_asked_for_by_name(bench: Bench, api: Api) -> None:
    value = made("CronJob", "report", REPORT, api_version="batch/v1", namespace=bench.name)
    bench.kubectl("apply", "--server-side", "--field-manager=image-updater", "-f", "-", text=yaml.safe_dump(value))
    assert bench.plan(api, take_over=["another"]).left[0].reason.endswith("(--take-over image-updater)")
    assert bench.image() == "team/report:3"
    plan = bench.plan(api, take_over=["image-updater"])
    assert not plan.left
    assert apply_live(api, plan, bench.journal(api), namespace=bench.name).failed is None
    assert bench.image() == "registry.example.com/mirror/team/report:3"


def test_what_is_written_between_plan_and_apply_is_kept(bench: Bench, api: Api) -> None:
    spec = {"redisEnterpriseImageSpec": {"repository": "redislabs/redis", "versionTag": "7.2.4-64"}}
    rec = made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1", namespace=bench.name)
    bench.cluster.create(rec)
    bench.report()
    plan = bench.plan(api)
    bench.kubectl("patch", "sa", "default", "-p", '{"imagePullSecrets":[{"name":"theirs"},{"name":"later"}]}')
    bench.kubectl("annotate", "cronjob", "report", "seen=yes")
    bench.kubectl("patch", "redisenterprisecluster", "rec", "--type=merge", "-p", '{"status":{"state":"Running"}}')
    assert apply_live(api, plan, bench.journal(api), namespace=bench.name, silence=1).failed is None
    accounts = bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}")
    assert accounts == "theirs later private"
    image = ("get", "redisenterprisecluster", "rec", "-o", "jsonpath={.spec.redisEnterpriseImageSpec.repository}")
    assert bench.kubectl(*image) == "registry.example.com/mirror/redislabs/redis"
    back = plan_rollback(api, bench.journal(api).read())
    bench.kubectl("patch", "redisenterprisecluster", "rec", "--type=merge", "-p", '{"status":{"seen":"yes"}}')
    assert roll_back(api, back, bench.journal(api), namespace=bench.name).failed is None
    assert bench.kubectl(*image) == "redislabs/redis"
    assert bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}") == "theirs later"


def test_a_field_that_somebody_else_changes_between_plan_and_apply_stops_it(bench: Bench, api: Api) -> None:
    bench.report()
    plan = bench.plan(api)
    bench.kubectl("set", "image", "cronjob/report", "c0=team/report:4")
    failed = apply_live(api, plan, bench.journal(api), namespace=bench.name).failed
    assert "was changed by somebody else meanwhile: it is team/report:4 now" in str(failed)
    assert bench.image() == "team/report:4"


def test_a_pull_secret_is_attached_to_what_pulls_from_the_target_and_to_nothing_else(bench: Bench, api: Api) -> None:
    here = "registry.example.com/mirror"
    spec = {
        "pullSecrets": [{"name": "theirs"}],
        "redisEnterpriseImageSpec": {"repository": f"{here}/redislabs/redis", "versionTag": "7.2.4-64"},
    }
    rec = made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1", namespace=bench.name)
    bench.cluster.create(rec)
    bench.create(kind="ServiceAccount", name="runner")
    helm = workload("Deployment", "web", bench.name, f"{here}/team/web:1", serviceAccountName="runner")
    helm["metadata"]["annotations"] = {"meta.helm.sh/release-name": "shop"}
    bench.cluster.create(helm)
    bench.report()
    secret = make_pull_secret("private", bench.name, TARGET, Credential("ann", "s3cret-word"))
    plan = plan_spread(api, TARGET, [secret], attach=lambda _: KNOWLEDGE)
    assert [str(it.key) for it in (*plan.accounts, *plan.objects)] == [
        f"ServiceAccount/{bench.name}/runner",
        f"RedisEnterpriseCluster/{bench.name}/rec",
    ]
    assert apply_live(api, plan, None, namespace=bench.name, silence=1).failed is None
    assert bench.kubectl("get", "sa", "runner", "-o", "jsonpath={.imagePullSecrets[*].name}") == "private"
    assert bench.kubectl("get", "sa", "default", "-o", "jsonpath={.imagePullSecrets[*].name}") == "theirs"
    found = bench.kubectl("get", "redisenterprisecluster", "rec", "-o", "jsonpath={.spec.pullSecrets[*].name}")
    assert found == "theirs private"


def test_what_helm_decides_is_left(bench: Bench, api: Api) -> None:
    bench.report(annotations={"meta.helm.sh/release-name": "shop"})
    (left,) = bench.plan(api).left
    assert left.reason.startswith("Helm (release shop) decides: set the images in its values")


def test_an_image_that_is_not_brought_is_left(bench: Bench, api: Api) -> None:
    bench.cluster.create(workload("Deployment", "other", bench.name, "quay.io/other/app:1"))
    plan = bench.plan(api)
    assert [(it.image, it.reason) for it in plan.left] == [
        ("quay.io/other/app:1", "it is not among the images that are brought")
    ]
    assert not plan.objects


def test_a_webhook_that_refuses(bench: Bench, api: Api) -> None:
    bench.report()
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bench.name}},
            "resourceRules": [
                {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["cronjobs"]}
            ],
        },
        "validations": [{"expression": "false", "message": "freeze until Monday"}],
    }
    for kind, spec in (
        ("ValidatingAdmissionPolicy", policy),
        ("ValidatingAdmissionPolicyBinding", {"policyName": "freeze", "validationActions": ["Deny"]}),
    ):
        value = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "freeze"}}
        bench.kubectl("apply", "-f", "-", text=yaml.safe_dump(value | {"spec": spec}))
    kube.wait(lambda: _is_refused(bench, api), "the policy is not in force")
    with pytest.raises(ClusterError, match="freeze until Monday") as caught:
        bench.plan(api)
    assert str(caught.value).startswith(f"cannot change CronJob/{bench.name}/report: the API server answered 422")
    assert "secret" not in bench.kubectl("get", "secrets", "-o", "name")


@pytest.mark.parametrize(
    ("is_there", "said"),
    [
        (True, 'answered 403. admission webhook "freeze.example.com" denied the request: freeze until Monday'),
        (False, 'answered 500. Internal error occurred: failed calling webhook "freeze.example.com"'),
    ],
    ids=["refuses", "away"],
)
def test_an_admission_webhook(is_there: bool, said: str, bench: Bench, api: Api, tmp_path: Path) -> None:
    bench.report()
    authority, certificate, key = write_certificate(tmp_path)
    with admission("freeze until Monday", certificate, key) as url:
        hook = {
            "name": "freeze.example.com",
            "clientConfig": {
                "url": url if is_there else "https://127.0.0.1:1/",
                "caBundle": base64.b64encode(authority.read_bytes()).decode(),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bench.name}},
            "rules": [
                {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["cronjobs"]}
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        value = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": bench.name},
            "webhooks": [hook],
        }
        bench.kubectl("apply", "-f", "-", text=yaml.safe_dump(value))
        kube.wait(lambda: _is_refused(bench, api), "the webhook is not in force")
        with pytest.raises(ClusterError) as caught:
            bench.plan(api)
        bench.kubectl("delete", "validatingwebhookconfiguration", bench.name)
    assert f"cannot change CronJob/{bench.name}/report: the API server {said}" in str(caught.value)
    assert bench.image() == "team/report:3"


@contextlib.contextmanager
def admission(message: str, certificate: Path, key: Path) -> Iterator[str]:
    """Serve a webhook that denies everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": message, "code": 403}}
            body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _is_refused(bench: Bench, api: Api) -> bool:
    try:
        bench.plan(api)
    except ClusterError:
        return True
    return False


def test_a_namespace_that_is_being_deleted(bench: Bench, api: Api) -> None:
    bench.report()
    bench.kubectl(
        "patch", "cronjob", "report", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/wait"]}}'
    )
    bench.kubectl("delete", "namespace", bench.name, "--wait=false")
    with pytest.raises(ClusterError, match="because it is being terminated"):
        bench.plan(api)


def test_a_namespace_that_is_not_there(bench: Bench, api: Api) -> None:
    secret = make_pull_secret("private", "nowhere", TARGET, Credential("ann", "s3cret-word"))
    with pytest.raises(UsageError, match="there is no namespace 'nowhere'"):
        plan_live(api, [bench.name], Mapping(TARGET), BROUGHT, lambda _: KNOWLEDGE, secrets=[secret])


def test_a_secret_of_somebody_else(bench: Bench, api: Api) -> None:
    bench.report()
    bench.create(kind="Secret", name="private", stringData={"password": "theirs"})
    with pytest.raises(UsageError, match="is not Homeport's, and has other credentials") as caught:
        bench.plan(api)
    assert "s3cret-word" not in str(caught.value)


def test_a_redis_cluster_that_is_not_healthy(bench: Bench, api: Api) -> None:
    spec = {"redisEnterpriseImageSpec": {"repository": "redislabs/redis", "versionTag": "7.2.4-64"}}
    rec = made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1", namespace=bench.name)
    bench.kubectl("apply", "-f", "-", text=yaml.safe_dump(rec | {"status": {"state": "RecoveryReset"}}))
    with pytest.raises(ClusterError, match="is RecoveryReset, not Running"):
        bench.plan(api)


def test_a_right_to_change_one_kind_is_missing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.report()
    bench.cluster.grant("reader", ["pods", "cronjobs.batch"], bench.name)
    with (
        as_user(bench.cluster, "reader", monkeypatch) as api,
        pytest.raises(ClusterError, match="no right to change CronJob"),
    ):
        plan_live(api, [bench.name], Mapping(TARGET), BROUGHT, lambda _: KNOWLEDGE)


@pytest.mark.parametrize("scope", ["whole", "one"])
def test_the_printed_rights_suffice(
    scope: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user = {"whole": "changer", "one": "looker"}[scope]
    bench.report()
    namespace = [] if scope == "whole" else ["-n", bench.name]
    assert run(["rbac", "apply", "--for", user, *namespace]) == 0
    bench.kubectl("apply", "-f", "-", text=capsys.readouterr().out)
    with as_user(bench.cluster, user, monkeypatch) as api:
        applied = bench.apply(api)
        assert (applied.failed, bench.plan(api).errors) == (None, ())
        journal = bench.journal(api)
        assert roll_back(api, plan_rollback(api, journal.read()), journal, namespace=bench.name).failed is None
    assert bench.image() == "team/report:3"


def test_an_interrupted_apply_is_finished_by_the_next_or_taken_back(bench: Bench, api: Api) -> None:
    def images() -> list[str]:
        path = "jsonpath={.items[*].spec.jobTemplate.spec.template.spec.containers[0].image}"
        return bench.kubectl("get", "cronjobs", "-o", path).split()

    def interrupt(line: str) -> None:
        if "CronJob" in line:
            raise KeyboardInterrupt

    for name in ("first", "second"):
        value = made("CronJob", name, REPORT, api_version="batch/v1", namespace=bench.name)
        bench.kubectl("apply", "-f", "-", text=yaml.safe_dump(value))
    new, old = "registry.example.com/mirror/team/report:3", "team/report:3"
    with pytest.raises(KeyboardInterrupt):
        apply_live(api, bench.plan(api), bench.journal(api), namespace=bench.name, say=interrupt)
    assert images() == [new, old]
    journal = bench.journal(api)
    assert roll_back(api, plan_rollback(api, journal.read()), journal, namespace=bench.name).failed is None
    assert images() == [old, old]
    with pytest.raises(KeyboardInterrupt):
        apply_live(api, bench.plan(api), bench.journal(api), namespace=bench.name, say=interrupt)
    assert bench.apply(api).failed is None
    assert images() == [new, new]
    assert roll_back(api, plan_rollback(api, journal.read()), journal, namespace=bench.name).failed is None
    assert images() == [old, old]


def test_the_api_server_goes_away_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kube.running(tmp_path) as cluster, as_user(cluster, "admin", monkeypatch) as api:
        bench = Bench(cluster, "shop", tmp_path)
        bench.report()
        plan = bench.plan(api)
        applied = apply_live(
            api,
            plan,
            bench.journal(api),
            namespace="shop",
            say=lambda line: cluster.stop() if "lends" in line else None,
        )
    assert applied.done[-1].endswith("ServiceAccount/shop/default: lends private")
    assert "does not answer: Connection refused" in str(applied.failed)


def test_names_in_environment_and_arguments_move_and_a_second_apply_keeps_them(bench: Bench, api: Api) -> None:
    def add(name: str, image: str) -> None:
        operation = {"op": "add", "path": f"{pod}/containers/-", "value": {"name": name, "image": image}}
        bench.kubectl("patch", "cronjob", "report", "--type=json", "-p", json.dumps([operation]))

    def spec() -> dict[str, Any]:
        found = yaml.safe_load(bench.kubectl("get", "cronjob", "report", "-o", "yaml"))
        return dict(found["spec"]["jobTemplate"]["spec"]["template"]["spec"])

    pod = "/spec/jobTemplate/spec/template/spec"
    bench.report()
    more = {"env": [{"name": "WEB_IMAGE", "value": "team/web:1"}], "args": ["--image=team/report:3", "--verbose"]}
    operations = [{"op": "add", "path": f"{pod}/containers/0/{name}", "value": value} for name, value in more.items()]
    bench.kubectl("patch", "cronjob", "report", "--type=json", "-p", json.dumps(operations))
    before = spec()
    assert bench.apply(api).failed is None
    add("later", "team/web:1")
    assert bench.apply(api).failed is None
    first, later = spec()["containers"]
    here = "registry.example.com/mirror"
    assert (first["image"], later["image"]) == (f"{here}/team/report:3", f"{here}/team/web:1")
    assert first["env"] == [{"name": "WEB_IMAGE", "value": f"{here}/team/web:1"}]
    assert first["args"] == [f"--image={here}/team/report:3", "--verbose"]
    again = bench.plan(api)
    assert not any(step.changes for step in (*again.accounts, *again.objects))
    assert not any(secret.manifest for secret in again.secrets)
    journal = bench.journal(api)
    assert roll_back(api, plan_rollback(api, journal.read()), journal, namespace=bench.name).failed is None
    back = spec()
    assert back["containers"].pop()["image"] == "team/web:1"
    assert back == before


def test_a_custom_resource_that_nobody_taught_is_found_moved_and_taken_back(bench: Bench, api: Api) -> None:
    engine = {"type": "string", "description": "The container image to use for the engine."}
    bench.cluster.define("shop.example.com", "Widget", "v1alpha2", {"engine": engine})
    spec = {
        "engine": "team/web:1",
        "size": 3,
        "image": {"repository": "team/web", "tag": "1"},
        "exporter": {"image": "docker.io/team/report:3"},
    }
    widget = made("Widget", "w", spec, api_version="shop.example.com/v1alpha2", namespace=bench.name)
    bench.kubectl("apply", "-f", "-", text=yaml.safe_dump(widget))
    with Api(load_config()) as fresh:
        assert bench.apply(fresh).failed is None
        after = yaml.safe_load(bench.kubectl("get", "widget", "w", "-o", "yaml"))["spec"]
        assert after["image"] == {"repository": "registry.example.com/mirror/team/web", "tag": "1"}
        assert after["engine"] == "registry.example.com/mirror/team/web:1"
        assert after["exporter"] == {"image": "registry.example.com/mirror/team/report:3"}
        journal = bench.journal(fresh)
        assert roll_back(fresh, plan_rollback(fresh, journal.read()), journal, namespace=bench.name).failed is None
    assert yaml.safe_load(bench.kubectl("get", "widget", "w", "-o", "yaml"))["spec"] == spec


def test_ten_megabytes_of_custom_resources_whose_definition_has_no_schema(bench: Bench, api: Api) -> None:
    bench.cluster.define("shop.example.com", "Gadget", "v1")
    for number in range(8):
        spec = {"blob": "x" * (1300 << 10), "engine": {"image": "team/web:1"}, "size": number}
        bench.cluster.create(
            made("Gadget", f"g{number}", spec, api_version="shop.example.com/v1", namespace=bench.name)
        )
    with Api(load_config()) as fresh:
        plan = bench.plan(fresh)
        assert len(plan.objects) == 8
        assert apply_live(fresh, plan, bench.journal(fresh), namespace=bench.name, silence=1).failed is None
        images = bench.kubectl("get", "gadgets", "-o", "jsonpath={.items[*].spec.engine.image}")
        assert images.split() == ["registry.example.com/mirror/team/web:1"] * 8
        assert not any(step.changes for step in bench.plan(fresh).objects)
    bench.kubectl("delete", "gadgets", "--all")


def test_a_rollback_without_a_record_says_so(
    bench: Bench, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollback", str(tmp_path / "homeport.yaml"), "--record", bench.name]) == 0
    assert f"no change is recorded in namespace {bench.name}" in capsys.readouterr().err
