"""Changing a real cluster on bad days: each ends in one clear sentence, with nothing lost."""

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
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
from homeport.errors import ClusterError, UsageError
from homeport.mapping import Mapping
from homeport.registry.credentials import Credential
from homeport.workflow.live_apply import apply_live
from homeport.workflow.live_plan import plan_live
from homeport.workflow.live_rollback import plan_rollback, roll_back
from tests.kit.cluster_contract import made
from tests.kit.servers import write_certificate
from tests.peers import kube
from tests.peers.kube_bench import BROUGHT, TARGET, Bench, as_user

pytestmark = pytest.mark.peers


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
