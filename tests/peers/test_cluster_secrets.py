"""`homeport secret --cluster` on a real node: no pull fails while a password changes, and nothing of others is lost."""

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport.cli.app import run
from tests.kit.cluster_contract import made
from tests.kit.images import put
from tests.peers import kube_site
from tests.peers.kube_images import sleepers
from tests.peers.kube_site import Site, workload

pytestmark = pytest.mark.peers

Secret = Callable[..., int]


@pytest.fixture(scope="module")
def image(site: Site) -> str:
    with site.login() as registries:
        put(sleepers("app"), registries.client(site.own.host), "team/app", "1")
    return f"{site.own.host}/team/app:1"


@pytest.fixture
def secret(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Secret]:
    """Run the command with a password on stdin; what it wrote never holds it."""
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    passwords: list[str] = []

    def call(name: str, *arguments: str, password: str = "", user: str = "robot") -> int:
        given = ["--registry", site.own.host, "--username", user, "--password-stdin"] if password else []
        passwords.append(password)
        monkeypatch.setattr("sys.stdin", io.StringIO(password))
        named = [name] if name else []
        return run(["secret", *named, "--cluster", "--ca-file", str(site.ca_file), *given, *arguments])

    yield call
    out, err = capsys.readouterr()
    assert not any(password and password in out + err for password in passwords)


def pod(site: Site, namespace: str, name: str, image: str, policy: str = "Always", **more: Any) -> None:
    """Let a pod pull and run, and end it again."""
    containers = [{"name": "main", "image": image, "imagePullPolicy": policy}]
    site.node.api.create(made("Pod", name, {"containers": containers, **more}, api_version="v1", namespace=namespace))
    phase = ("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.phase}")
    site.node.wait(lambda: site.node.kubectl(*phase) == "Running", f"pod {name} does not start")
    site.node.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")


@contextlib.contextmanager
def pulling(site: Site, namespace: str, image: str) -> Iterator[Callable[[], None]]:
    """Let one pod after the other pull, until the block ends; what is given waits until one more has begun and pulled."""
    ended, failures, pulled = threading.Event(), [], threading.Semaphore(0)

    def work() -> None:
        number = 0
        try:
            while not ended.is_set():
                pod(site, namespace, f"puller-{number}", image)
                pulled.release()
                number += 1
        except AssertionError as error:
            failures.append(error)
            pulled.release(1000)

    def one_more() -> None:
        while pulled.acquire(blocking=False):
            pass
        for _ in range(2):  # the first of them may have begun before
            assert pulled.acquire(timeout=180)
            assert not failures, failures

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield one_more
    finally:
        ended.set()
        thread.join()
    assert not failures, failures
    reasons = ("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].reason}")
    assert not {"Failed", "BackOff"} & set(site.node.kubectl(*reasons).split())


def kept(site: Site, namespace: str, name: str = "pull") -> dict[str, Any]:
    return site.get("secret", namespace, name)


def test_a_password_changes_while_pods_pull_and_no_pull_fails(
    site: Site, image: str, secret: Secret, capsys: pytest.CaptureFixture[str]
) -> None:
    site.node.namespace("turn")
    site.let_in(robot="first-word")
    assert secret("pull", "-n", "turn", "--service-account", "default", password="first-word") == 0
    uid = kept(site, "turn")["metadata"]["uid"]
    with pulling(site, "turn", image) as one_more:
        one_more()
        assert secret("pull", "-n", "turn", password="second-word") == 2
        assert "does not accept this user and password now" in capsys.readouterr().err
        one_more()
        assert secret("pull", "-n", "turn", "--overlap", password="second-word") == 0
        one_more()
        site.let_in(robot="second-word")
        one_more()
        assert secret("pull", "-n", "turn", password="second-word") == 0
        assert "Secret/turn/pull: given other credentials" in capsys.readouterr().out
        one_more()
    after = kept(site, "turn")
    assert after["metadata"]["uid"] == uid
    version = after["metadata"]["resourceVersion"]
    assert secret("pull", "-n", "turn", password="second-word") == 0
    assert kept(site, "turn")["metadata"]["resourceVersion"] == version


def test_another_secret_takes_over_and_the_first_goes_when_nothing_uses_it(
    site: Site, image: str, secret: Secret, capsys: pytest.CaptureFixture[str]
) -> None:
    site.let_in(robot="third-word")
    own_list = {"imagePullSecrets": [{"name": "one"}, {"name": "theirs"}]}
    site.node.namespace("swap")
    assert secret("one", "-n", "swap", "--service-account", "default", password="third-word") == 0
    site.run(
        "swap",
        [workload("Deployment", "listed", "swap", image, **own_list), workload("Deployment", "lent", "swap", image)],
    )

    def names(deployment: str) -> list[str]:
        pods = json.loads(site.node.kubectl("get", "pods", "-n", "swap", "-l", f"app={deployment}", "-o", "json"))[
            "items"
        ]
        (living,) = [it for it in pods if "deletionTimestamp" not in it["metadata"]]
        return [it["name"] for it in living["spec"]["imagePullSecrets"]]

    assert secret("one", "-n", "swap", "--detach") == 1
    assert "nothing else here has credentials for" in capsys.readouterr().out
    assert secret("one", "-n", "swap", "--prune") == 1
    assert "uses it" in capsys.readouterr().out

    assert secret("two", "-n", "swap", "--attach", password="third-word") == 0
    assert names("listed") == ["one", "theirs", "two"]
    assert secret("one", "-n", "swap", "--detach") == 0
    assert names("listed") == ["theirs", "two"]
    accounts = ("get", "serviceaccount", "default", "-n", "swap", "-o", "jsonpath={.imagePullSecrets[*].name}")
    assert site.node.kubectl(*accounts) == "two"
    assert secret("one", "-n", "swap", "--prune") == 1
    assert "Pod/swap/lent-" in capsys.readouterr().out

    site.node.kubectl("rollout", "restart", "deployment/lent", "-n", "swap")
    site.node.kubectl("rollout", "status", "deployment/lent", "-n", "swap", "--timeout=180s")
    site.node.wait(
        lambda: site.node.kubectl("get", "pods", "-n", "swap", "-o", "name").count("lent") == 1, "the old pod stays"
    )
    assert secret("one", "-n", "swap", "--prune", "--dry-run") == 0
    assert kept(site, "swap", "one")
    assert secret("", "-n", "swap", "--prune") == 0
    out = capsys.readouterr().out
    assert "Secret/swap/one: deleted" in out
    assert "Secret/swap/two: Pod/swap/lent-" in out
    assert "NotFound" in site.node.kubectl("get", "secret", "one", "-n", "swap", check=False)
    pod(site, "swap", "after", image)


def test_nodes_know_the_secret_again_whose_password_has_changed(site: Site, image: str, secret: Secret) -> None:
    """Since 1.35 nodes remember with which secret, or with which credentials, they pulled an image."""
    site.node.namespace("again")
    site.let_in(robot="fifth-word", fresh="seventh-word")
    assert secret("mine", "-n", "again", password="fifth-word") == 0
    assert secret("other", "-n", "again", user="fresh", password="seventh-word") == 0
    pod(site, "again", "first", image, imagePullSecrets=[{"name": "mine"}])
    site.let_in(robot="sixth-word", fresh="seventh-word")
    assert secret("mine", "-n", "again", password="sixth-word") == 0
    with site.without(site.own):
        pod(site, "again", "mine", image, policy="IfNotPresent", imagePullSecrets=[{"name": "mine"}])
        stranger = {"containers": [{"name": "main", "image": image}], "imagePullSecrets": [{"name": "other"}]}
        site.node.api.create(made("Pod", "stranger", stranger, api_version="v1", namespace="again"))
        reason = (
            "get",
            "pod",
            "stranger",
            "-n",
            "again",
            "-o",
            "jsonpath={.status.containerStatuses[0].state.waiting.reason}",
        )
        site.node.wait(
            lambda: site.node.kubectl(*reason) in ("ErrImagePull", "ImagePullBackOff"), "the pull did not fail"
        )


def test_the_printed_rights_suffice(
    site: Site, secret: Secret, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.node.namespace("least")
    site.let_in(robot="eighth-word")
    assert run(["rbac", "secret", "--kind", "shops.shop.example.com", "--for", "verifier"]) == 0
    site.node.kubectl("apply", "-f", "-", text=capsys.readouterr().out)
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig("verifier")))
    where = ("-n", "least")
    assert secret("one", *where, "--service-account", "default", "--attach", password="eighth-word") == 0
    assert secret("two", *where, "--service-account", "default", password="eighth-word") == 0
    assert secret("one", *where, "--detach", "--prune") == 0
    assert "Secret/least/one: deleted" in capsys.readouterr().out
    assert secret("", "-A", "--prune", "--dry-run") == 0


def test_all_namespaces_get_it_and_a_login_that_is_stored_serves(
    site: Site, secret: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.node.namespace("wide")
    site.job(tmp_path / "job", "wide", [])
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "job"))
    everywhere = ("--registry", site.own.host, "-A", "-o", "json")
    assert secret("wide", *everywhere, "--dry-run") == 0
    assert "Secret/kube-system/wide: to be made" in json.loads(capsys.readouterr().out)["secrets"]
    assert "NotFound" in site.node.kubectl("get", "secret", "wide", "-n", "wide", check=False)
    assert secret("wide", *everywhere) == 0
    assert kept(site, "wide", "wide")["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "homeport"}
    assert kept(site, "kube-system", "wide")["type"] == "kubernetes.io/dockerconfigjson"
    capsys.readouterr()
    assert secret("wide", "-A", "--prune") == 0
    assert "Secret/wide/wide: deleted" in capsys.readouterr().out
    events = site.node.kubectl("get", "events", "-A", "-o", "json")
    assert kube_site.PASSWORD not in events
