"""The whole job of a homeport.yaml, between a stand-in for Docker Hub and a private registry with a login."""

import base64
import json
import stat

import pytest
import yaml

from homeport.cli.app import run
from homeport.registry.credentials import Credential, Credentials
from homeport.registry.session import Registries
from homeport.workflow.config import parse_config
from homeport.workflow.job import read_job
from tests.kit.clients import open_registries
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import image, multi_arch, put
from tests.kit.servers import docker_config, running_registry

OPERATOR = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis-enterprise-operator}
spec:
  template:
    spec:
      containers:
      - {name: redis-enterprise-operator, image: "redislabs/operator:7.2.4-7"}
      - {name: admission, image: "redislabs/operator:7.2.4-7"}
"""
REC = """\
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
metadata: {name: rec}
spec:
  nodes: 3
"""
IMAGES = {"redislabs/redis": "7.2.4-64", "redislabs/operator": "7.2.4-7", "redislabs/k8s-controller": "7.2.4-7"}
CONFIG = """\
target: {target}
sources: [operator.yaml, rec.yaml]
pullSecret: {{name: private, namespaces: [redis]}}
redisEnterprise: {{operator: 7.2.4-7}}
"""


class Site:
    """Both registries, and a folder with a job."""

    def __init__(self, folder, hub, registry, registries):
        self.folder, self.hub, self.registry = folder, hub, registry
        self._registries = registries

    def publish(self, *repositories):
        for repository in repositories:
            client = self._registries.client(self.hub.host)
            put(multi_arch(repository), client, repository, IMAGES[repository])

    def digest(self, repository):
        head = self._registries.client(self.registry.host).head_manifest(f"mirror/{repository}", IMAGES[repository])
        return head and head.digest

    def files(self):
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def pulls(self):
        return self.hub.counters["get"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder, docker, own = (tmp_path / name for name in ("job", "docker", "own"))
    for path in (folder, docker, own):
        path.mkdir()
    with (
        running_docker_hub(limit=100, users={"publisher": "p"}) as hub,
        running_registry(users={"deployer": "s3cret-word"}) as registry,
    ):
        auths = {hub.host: {"auth": _auth("publisher", "p")}, registry.host: {"auth": _auth("deployer", "s3cret-word")}}
        (own / "config.json").write_text(json.dumps({"auths": auths}))
        docker_config(docker, registry.host, "deployer", "s3cret-word")
        monkeypatch.setenv("DOCKER_CONFIG", str(docker))
        monkeypatch.setenv("HOMEPORT_ENDPOINTS", hub.endpoint)
        monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
        monkeypatch.chdir(folder)
        (folder / "operator.yaml").write_text(OPERATOR)
        (folder / "rec.yaml").write_text(REC)
        (folder / "homeport.yaml").write_text(CONFIG.format(target=f"{registry.host}/mirror"))
        with Registries(credentials=Credentials((own / "config.json",))) as registries:
            yield Site(folder, hub, registry, registries)


def _auth(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_apply_does_the_whole_job_and_then_nothing(site, capsys):
    site.publish(*IMAGES)

    assert run(["apply"]) == 0
    out = capsys.readouterr().out

    assert all(site.digest(repository) == multi_arch(repository).digest for repository in IMAGES)
    assert "verified: 3 of 3 images proven" in out
    deployment = yaml.safe_load((site.folder / "relocated/operator.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    private = f"{site.registry.host}/mirror/redislabs"
    assert [container["image"] for container in pod["containers"]] == [f"{private}/operator:7.2.4-7"] * 2
    assert pod["imagePullSecrets"] == [{"name": "private"}]
    rec = yaml.safe_load((site.folder / "relocated/rec.yaml").read_text())["spec"]
    assert rec["redisEnterpriseImageSpec"] == {"repository": f"{private}/redis", "versionTag": "7.2.4-64"}
    assert rec["pullSecrets"] == [{"name": "private"}]
    assert (site.folder / "operator.yaml").read_text() == OPERATOR
    lock = json.loads((site.folder / "homeport.lock").read_text())
    assert lock["docker.io/redislabs/redis:7.2.4-64"] == multi_arch("redislabs/redis").digest
    before, pulls, writes = site.files(), site.pulls(), site.hub.counters["write"]

    assert run(["apply", "homeport.yaml"]) == 0

    assert "nothing to write" in capsys.readouterr().out
    assert (site.files(), site.pulls(), site.hub.counters["write"]) == (before, pulls, writes)


def test_the_pull_secret_is_for_its_owner_and_kept_from_version_control(site, capsys):
    site.publish(*IMAGES)

    run(["apply"])

    secret = site.folder / "relocated/pull-secret.yaml"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (site.folder / "relocated/.gitignore").read_text() == "pull-secret.yaml\n"
    manifest = yaml.safe_load(secret.read_text())
    assert (manifest["type"], manifest["metadata"]) == (
        "kubernetes.io/dockerconfigjson",
        {"name": "private", "namespace": "redis"},
    )
    entry = json.loads(base64.b64decode(manifest["data"][".dockerconfigjson"]))["auths"][f"{site.registry.host}/mirror"]
    assert (entry["username"], entry["password"]) == ("deployer", "s3cret-word")
    said = capsys.readouterr()
    assert "s3cret-word" not in said.out + said.err


def test_plan_changes_nothing_and_spends_no_counted_pull(site, capsys):
    site.publish(*IMAGES)
    before = site.files()

    assert run(["plan", "-o", "json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert site.pulls() == 0
    assert site.files() == before
    assert all(site.digest(repository) is None for repository in IMAGES)
    assert {image["status"] for image in report["mirror"]["images"]} == {"pending"}
    assert [manifest["status"] for manifest in report["manifests"]] == ["to be written"] * 2
    bound = report["mirror"]["counted_pulls"]
    assert report["quotas"] == [
        {
            "registry": "docker.io",
            "limit": 100,
            "remaining": 100,
            "window_seconds": 21600,
            "counted_pulls": bound,
            "likely": None,
            "fits": True,
            "wait_seconds": 0.0,
            "others": 0,
        }
    ]

    run(["apply"])

    assert bound["low"] <= site.pulls() <= bound["high"]


def test_a_plan_says_what_each_node_will_pull_and_from_where(site, capsys):
    site.publish(*IMAGES)
    assert run(["plan"]) == 0
    assert f"\neach node that holds none pulls 3 images from {site.registry.host}\n" in capsys.readouterr().out

    note = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: y}\n---\n"
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: a, image: IMAGE}]}}}\n"
    (site.folder / "operator.yaml").write_text(
        note + job.replace("IMAGE", f"{site.registry.host}/mirror/own:1") + "---\n" + OPERATOR
    )
    run(["plan", "-o", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["each_node"] == [{"registry": site.registry.host, "images": 4, "counted_pulls": None}]


def test_a_deep_plan_and_apply_count_together_what_apply_alone_counts(site, capsys):
    site.publish(*IMAGES)
    alone = sum(1 + len(multi_arch(repository).children) for repository in IMAGES)

    assert run(["plan", "--deep", "-o", "json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["mirror"]["counted_pulls"] == {"low": alone, "high": alone}
    assert report["quotas"][0]["counted_pulls"] == {"low": 0, "high": 0}
    assert report["quotas"][0]["remaining"] == 100 - alone
    assert site.pulls() == alone
    assert site.files().keys() == {"homeport.yaml", "operator.yaml", "rec.yaml"}

    assert run(["apply"]) == 0

    assert "docker.io: 0 counted pulls to come" in capsys.readouterr().err
    assert site.pulls() == alone


def test_each_limit_is_held_against_the_pulls_at_its_own_registry(site, capsys):
    site.publish(*IMAGES)
    with running_docker_hub(limit=3, users={"publisher": "p"}) as other:
        with open_registries(Credential("publisher", "p")) as registries:
            for number in range(3):
                put(image(label=str(number)), registries.client(other.host), "team/app", str(number))
        containers = "".join(f"      - {{name: c{it}, image: '{other.host}/team/app:{it}'}}\n" for it in range(3))
        (site.folder / "operator.yaml").write_text(OPERATOR + containers)

        assert run(["plan", "-o", "json"]) == 0

    quotas = {quota["registry"]: quota for quota in json.loads(capsys.readouterr().out)["quotas"]}
    assert quotas[other.host]["counted_pulls"] == {"low": 3, "high": 3}
    assert quotas[other.host]["fits"] is True
    assert quotas["docker.io"]["counted_pulls"]["low"] == len(IMAGES)


def test_nothing_is_pointed_at_an_image_that_is_not_there_and_the_next_run_goes_on(site, capsys):
    site.publish("redislabs/redis", "redislabs/operator")

    assert run(["apply"]) == 1

    out = capsys.readouterr().out
    assert "docker.io/redislabs/k8s-controller:7.2.4-7 is not there" in out
    assert "No manifest was written" in out
    assert not (site.folder / "relocated").exists()
    pulls = site.pulls()
    site.publish("redislabs/k8s-controller")

    assert run(["apply"]) == 0

    assert site.pulls() - pulls == len(multi_arch("redislabs/k8s-controller").children) + 1
    assert (site.folder / "relocated/rec.yaml").exists()


def test_a_wanted_platform_is_brought_alone(site, capsys):
    site.publish(*IMAGES)
    with (site.folder / "homeport.yaml").open("a") as config:
        config.write("platforms: [linux/amd64]\n")

    assert run(["apply"]) == 0

    assert site.pulls() == len(IMAGES) * 3  # the index, the image, and the attestation about it
    assert site.digest("redislabs/redis") == multi_arch("redislabs/redis").digest


def test_credentials_that_are_missing_stop_the_job_before_it_begins(site, capsys, monkeypatch, tmp_path):
    site.publish(*IMAGES)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert run(["apply"]) == 2

    assert "no credentials are stored for" in capsys.readouterr().err
    assert site.pulls() == 0


def test_a_broken_manifest_is_named_and_the_job_is_not_called_done(site, capsys):
    site.publish(*IMAGES)
    (site.folder / "rec.yaml").write_text("a:\n\t- b\n")

    assert run(["apply"]) == 1

    assert "error: rec.yaml:2:1: a tab" in capsys.readouterr().out


def test_a_limit_that_is_used_up_is_said_with_what_to_do(site, capsys):
    site.publish(*IMAGES)
    for _ in range(100):
        site.hub.counters.pull("", 100)

    assert run(["plan"]) == 1
    assert "to come, 0 of 100 pulls per 6 h left: that does not fit" in capsys.readouterr().out
    assert run(["apply"]) == 1

    assert "pull limit" in capsys.readouterr().out
    assert not (site.folder / "relocated").exists()


def test_a_mirror_of_the_source_brings_a_job_through_a_limit_that_is_used_up(site):
    site.publish(*IMAGES)
    for _ in range(100):
        site.hub.counters.pull("", 100)
    with running_registry() as cache, open_registries() as registries:
        for repository in IMAGES:
            put(multi_arch(repository), registries.client(cache.host), f"hub/{repository}", "of-another-name")
        with (site.folder / "homeport.yaml").open("a") as file:
            file.write(f"registries: {{docker.io: {{mirrors: ['{cache.host}/hub']}}}}\n")

        assert run(["apply"]) == 0

    assert all(site.digest(repository) == multi_arch(repository).digest for repository in IMAGES)
    assert site.pulls() == 0


def test_two_sources_of_one_name_in_the_output_are_refused(site, capsys):
    (site.folder / "other").mkdir()
    (site.folder / "other/rec.yaml").write_text(REC)
    config = site.folder / "homeport.yaml"
    config.write_text(config.read_text().replace("rec.yaml]", "rec.yaml, other/rec.yaml]"))

    assert run(["plan"]) == 2

    assert "would both be written to relocated/rec.yaml" in capsys.readouterr().err


def test_on_openshift_the_release_is_brought_under_red_hats_names(tmp_path):
    red_hat = "registry.connect.redhat.com/redislabs"
    (tmp_path / "operator.yaml").write_text(
        OPERATOR.replace("redislabs/operator", f"{red_hat}/redis-enterprise-operator")
    )
    (tmp_path / "rec.yaml").write_text(REC)
    config = parse_config(CONFIG.format(target="reg.example.com/mirror").encode(), str(tmp_path / "homeport.yaml"))
    assert sorted(map(str, read_job(config).references)) == [
        f"{red_hat}/redis-enterprise-operator:7.2.4-7",
        f"{red_hat}/redis-enterprise:7.2.4-64.rhel8-openshift",
        f"{red_hat}/services-manager:7.2.4-7",
    ]


def test_a_locked_job_needs_no_source_for_what_the_target_has(site, capsys, monkeypatch):
    site.publish(*IMAGES)
    run(["apply"])
    monkeypatch.setenv("HOMEPORT_ENDPOINTS", "docker.io=http://127.0.0.1:1")
    before = site.files()

    assert run(["apply"]) == 1
    assert run(["plan", "--locked"]) == 0
    assert run(["apply", "--locked"]) == 0

    assert "verified: 3 of 3 images proven" in capsys.readouterr().out
    assert site.files() == before


def test_a_locked_job_refuses_a_tag_that_has_moved(site, capsys):
    site.publish(*IMAGES)
    lock = {f"docker.io/{name}:{tag}": "sha256:" + 64 * "1" for name, tag in IMAGES.items()}
    (site.folder / "homeport.lock").write_text(json.dumps(lock))

    assert run(["apply", "--locked"]) == 1

    assert "sha256:" + 64 * "1" in capsys.readouterr().out
    assert not (site.folder / "relocated").exists()


def test_a_locked_job_of_other_platforms_is_refused(site, capsys):
    site.publish(*IMAGES)
    assert run(["apply"]) == 0
    config = site.folder / "homeport.yaml"
    whole = config.read_text()
    config.write_text(f"{whole}platforms: [linux/amd64]\n")
    before = site.files()

    for command in ("plan", "apply"):
        capsys.readouterr()
        assert run([command, "--locked"]) == 2
        said = capsys.readouterr().err
        assert "homeport.lock was made with all platforms, not with linux/amd64 alone" in said
        assert "Set `platforms` of homeport.yaml to those again" in said

    assert site.files() == before
    assert run(["apply"]) == 0
    assert run(["apply", "--locked"]) == 0
    assert json.loads((site.folder / "homeport.lock").read_text())["platforms"] == ["linux/amd64"]
    config.write_text(whole)
    assert run(["apply", "--locked"]) == 2


def test_names_change_by_the_rules_of_the_file(site, capsys):
    site.publish(*IMAGES)
    with (site.folder / "homeport.yaml").open("a") as config:
        config.write("keepRegistry: true\nmap: [docker.io/redislabs/redis=re]\n")

    assert run(["apply"]) == 0

    rec = yaml.safe_load((site.folder / "relocated/rec.yaml").read_text())["spec"]
    place = f"{site.registry.host}/mirror"
    assert rec["redisEnterpriseImageSpec"]["repository"] == f"{place}/re"
    assert rec["bootstrapperImageSpec"]["repository"] == f"{place}/docker.io/redislabs/operator"


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_job_cannot_keep_to_a_lock_that_is_not_there(site, capsys, command):
    assert run([command, "--locked"]) == 2

    said = capsys.readouterr().err
    assert "homeport.lock: No such file" in said
    assert "once without --locked" in said
