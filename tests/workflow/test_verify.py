import textwrap
from collections.abc import Iterator

import pytest
import yaml

from homeport.applications.redis_enterprise import choose, knowledge
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.discovery.inputs import Source
from homeport.errors import UnreachableError
from homeport.mapping import Mapping, Target
from homeport.mirror.lock import Lock
from homeport.reference import Reference
from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.session import Registries
from homeport.workflow.pulls import Pulls, read_pulls
from homeport.workflow.verify import Origin, Verification, verify
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import Content, multi_arch, put
from tests.kit.servers import running_registry

ANN = Credential("ann", "secret")
OPERATOR, REDIS = "redislabs/operator:7.2.4-7", "redislabs/redis:7.2.4-64"
NO_ORIGIN = Origin()


class Home:
    """A private registry with a login, a person's connection to it, and what is at it."""

    def __init__(self, host: str, registries: Registries) -> None:
        self.host = host
        self.target = Target.parse(f"{host}/mirror")
        self.mapping = Mapping(self.target)
        self.registries = registries

    def push(self, image: str, content: Content | None = None) -> str:
        reference = Reference.parse(f"{self.target}/{image}")
        content = content or multi_arch(image)
        put(content, self.registries.client(self.host), reference.repository, reference.tag)
        return content.digest

    def secret(self, credential: Credential = ANN, *, namespace: str = "redis", target: str = "") -> str:
        return yaml.safe_dump(make_pull_secret("pull", namespace, Target.parse(target or str(self.target)), credential))

    def verify(self, *texts: str, secret: str = "", origin: Origin = NO_ORIGIN) -> Verification:
        return verify(read(*texts, secret=secret), self.mapping, self.registries, origin)

    def locked(self, digests: dict[str, str]) -> Origin:
        return Origin.of(self.mapping, Lock({f"docker.io/{image}": digest for image, digest in digests.items()}))


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_registry(users={"ann": "secret"}) as server, Registries(credentials=OneCredential(ANN)) as registries:
        yield Home(server.host, registries)


def read(*texts: str, secret: str = "") -> Pulls:
    sources = [Source(f"{number}.yaml", textwrap.dedent(text)) for number, text in enumerate(texts)]
    secrets = [Source("secret.yaml", secret)] if secret else []
    return read_pulls(sources, lambda findings: knowledge(choose(findings)), secrets=secrets)


def deployment(*images: str, secret: str = "pull", namespace: str = "redis", account: str = "") -> str:
    spec: dict = {"containers": [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]}
    spec |= {"imagePullSecrets": [{"name": secret}]} if secret else {}
    spec |= {"serviceAccountName": account} if account else {}
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "operator", "namespace": namespace},
            "spec": {"template": {"spec": spec}},
        }
    )


def statuses(verification: Verification) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for verdict in verification.verdicts:
        found.setdefault(verdict.image, []).append(verdict.status)
    return found


def reasons(verification: Verification) -> str:
    return "\n".join(reason for verdict in verification.verdicts for reason in verdict.reasons)


def test_all_is_proven_with_lock_and_secret(home):
    digest = home.push(OPERATOR)
    image = f"{home.target}/{OPERATOR}"
    found = home.verify(deployment(image, image), secret=home.secret(), origin=home.locked({OPERATOR: digest}))
    assert statuses(found) == {image: ["proven"]}
    assert found.verdicts[0].digest == digest
    assert found.wrong == ()


def test_what_is_pulled_from_elsewhere_is_wrong(home):
    home.push(OPERATOR)
    found = home.verify(
        deployment(f"{home.target}/{OPERATOR}", "nginx:1", f"{home.host}/other/app:1"), secret=home.secret()
    )
    assert found.wrong == (f"{home.host}/other/app:1", "docker.io/library/nginx:1")
    assert reasons(found).splitlines()[-2:] == [f"it is not below {home.target}", "its registry is docker.io"]


def test_what_is_not_there_is_missing(home):
    image = f"{home.target}/redislabs/forgotten:1"
    found = home.verify(deployment(image), secret=home.secret())
    assert statuses(found) == {image: ["missing"]}
    assert found.wrong == (image,)


def test_another_digest_than_the_locks_differs(home):
    digest = home.push(OPERATOR)
    other = multi_arch("other").digest
    found = home.verify(
        deployment(f"{home.target}/{OPERATOR}"), secret=home.secret(), origin=home.locked({OPERATOR: other})
    )
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["differs"]}
    assert reasons(found) == f"{digest} there, {other} in the lock"
    assert found.wrong


def test_without_lock_and_source_the_digest_is_unknown_and_not_wrong(home):
    home.push(OPERATOR)
    found = home.verify(deployment(f"{home.target}/{OPERATOR}"), secret=home.secret())
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["unknown"]}
    assert "neither a lock nor a source registry" in reasons(found)
    assert found.wrong == ()


def test_an_image_named_by_digest_needs_no_lock(home):
    digest = home.push(OPERATOR)
    by_digest = f"{home.target}/redislabs/operator@{digest}"
    found = home.verify(deployment(by_digest), secret=home.secret())
    assert statuses(found) == {by_digest: ["proven"]}


def test_digests_are_compared_with_a_source_registry(home):
    with running_registry() as source, Registries(credentials=OneCredential(None)) as plain:
        content = multi_arch(OPERATOR)
        put(content, plain.client(source.host), "redislabs/operator", "7.2.4-7")
        put(multi_arch("new redis"), plain.client(source.host), "redislabs/redis", "7.2.4-64")
        home.push(OPERATOR, content)
        home.push(REDIS, multi_arch("old redis"))
        home.push("redislabs/own:1")
        images = [f"{home.target}/{name}" for name in (OPERATOR, REDIS, "redislabs/own:1")]
        origin = Origin.of(home.mapping, None, source.host)
        found = home.verify(deployment(*images), secret=home.secret(), origin=origin)
    assert statuses(found) == dict(zip(images, [["proven"], ["differs"], ["unknown"]], strict=True))
    assert f"there is no {source.host}/redislabs/own:1" in reasons(found)
    assert found.wrong == (images[1],)


@pytest.mark.parametrize("options", [{"keep_registry": True}, {"redirects": ("quay.io=q", "{source}/redislabs=labs")}])
def test_the_source_is_found_the_way_back_through_the_rule_of_names(home, options):
    with running_registry() as source, Registries(credentials=OneCredential(None)) as plain:
        options = {**options, "redirects": [it.format(source=source.host) for it in options.get("redirects", ())]}
        mapping = Mapping.parse(f"{home.host}/mirror", **options)
        put(multi_arch("one"), plain.client(source.host), "redislabs/operator", "7.2.4-7")
        image = mapping.relocate(Reference.parse(f"{source.host}/{OPERATOR}"))
        home.push(f"{image.repository.removeprefix('mirror/')}:{image.tag}", multi_arch("one"))
        pulls = read(deployment(str(image), f"{home.target}/other/app:1"), secret=home.secret())
        home.push("other/app:1")
        found = verify(pulls, mapping, home.registries, Origin.of(mapping, None, source.host))
    assert statuses(found)[str(image)] == ["proven"]
    if mapping.keep_registry:
        assert f"no image of {source.host} is called so at the target" in reasons(found)


def test_two_locked_sources_of_one_name_are_not_told_apart(home):
    digest = home.push("team/app:1")
    lock = Lock({"docker.io/team/app:1": digest, "quay.io/team/app:1": multi_arch("quay").digest})
    found = home.verify(
        deployment(f"{home.target}/team/app:1"), secret=home.secret(), origin=Origin.of(home.mapping, lock)
    )
    assert statuses(found) == {f"{home.target}/team/app:1": ["unknown"]}
    assert "the lock has two sources of this name" in reasons(found)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (Credential("ann", "wrong"), "with Secret pull"),
        (Credential("nobody", "secret"), "with Secret pull"),
    ],
)
def test_a_secret_with_a_wrong_password_does_not_pull(home, secret, why):
    digest = home.push(OPERATOR)
    found = home.verify(
        deployment(f"{home.target}/{OPERATOR}"), secret=home.secret(secret), origin=home.locked({OPERATOR: digest})
    )
    assert found.wrong == (f"{home.target}/{OPERATOR}",)
    assert why in reasons(found)
    assert "wrong" not in reasons(found)


def test_a_secret_for_another_port_has_no_credentials_for_it(home):
    home.push(OPERATOR)
    found = home.verify(deployment(f"{home.target}/{OPERATOR}"), secret=home.secret(target="127.0.0.1:1"))
    assert found.wrong
    assert "Secret pull has no credentials for it (keys: 127.0.0.1:1)" in reasons(found)


def test_a_secret_of_the_wrong_type_is_named(home):
    home.push(OPERATOR)
    opaque = home.secret().replace("kubernetes.io/dockerconfigjson", "Opaque")
    found = home.verify(deployment(f"{home.target}/{OPERATOR}"), secret=opaque)
    assert found.wrong
    assert "its type is Opaque" in reasons(found)


@pytest.mark.parametrize("content", ["{", '{"x":' + "[" * 100_000])
def test_a_secret_that_the_kubelet_cannot_read_fails_the_pull(home, content):
    home.push(OPERATOR)
    broken = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
    }
    broken["stringData"] = {".dockerconfigjson": content}
    found = home.verify(deployment(f"{home.target}/{OPERATOR}"), secret=yaml.safe_dump(broken))
    assert found.wrong
    assert "Secret pull: its .dockerconfigjson is not JSON" in reasons(found)


def test_ones_own_login_does_not_stand_in_for_the_secret(home):
    home.push(OPERATOR)
    found = home.verify(deployment(f"{home.target}/{OPERATOR}", secret=""))
    assert found.wrong == (f"{home.target}/{OPERATOR}",)
    assert "no pull secret is named, and service account default lends none" in reasons(found)


def test_a_refused_secret_fails_even_where_anybody_may_pull():
    with running_docker_hub(users={"ann": "secret"}) as hub, Registries(credentials=OneCredential(ANN)) as registries:
        public = Home(hub.host, registries)
        digest = public.push(OPERATOR)
        image, origin = f"{public.target}/{OPERATOR}", public.locked({OPERATOR: digest})
        found = public.verify(deployment(image, secret=""), origin=origin)
        assert statuses(found) == {image: ["proven"]}
        wrong = public.secret(Credential("ann", "wrong"))
        assert public.verify(deployment(image), secret=wrong, origin=origin).wrong == (image,)


def test_the_next_secret_is_tried_when_one_is_refused(home):
    digest = home.push(OPERATOR)
    bad = home.secret(Credential("ann", "wrong"), target=f"{home.target}/redislabs")
    good = home.secret().replace("name: pull", "name: good")
    manifest = deployment(f"{home.target}/{OPERATOR}").replace("- name: pull", "- name: pull\n      - name: good")
    found = home.verify(manifest, secret=f"{bad}---\n{good}", origin=home.locked({OPERATOR: digest}))
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["proven"]}


def test_a_service_account_lends_its_secret(home):
    digest = home.push(OPERATOR)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "op"},
        "imagePullSecrets": [{"name": "pull"}],
    }
    manifest = deployment(f"{home.target}/{OPERATOR}", secret="", account="op")
    found = home.verify(manifest, yaml.safe_dump(account), secret=home.secret(), origin=home.locked({OPERATOR: digest}))
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["proven"]}


def test_a_pods_own_list_keeps_the_service_accounts_out(home):
    home.push(OPERATOR)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "op"},
        "imagePullSecrets": [{"name": "pull"}],
    }
    other = home.secret(target="other.example").replace("name: pull", "name: other")
    manifest = deployment(f"{home.target}/{OPERATOR}", secret="other", account="op")
    found = home.verify(manifest, yaml.safe_dump(account), secret=f"{other}---\n{home.secret()}")
    assert found.wrong == (f"{home.target}/{OPERATOR}",)


@pytest.mark.parametrize(
    ("namespace", "reason"),
    [("", "Secret pull is in none of the files"), ("shop", "Secret pull is only in namespace shop")],
)
def test_a_secret_that_no_file_has_is_unknown(home, namespace, reason):
    digest = home.push(OPERATOR)
    secret = home.secret(namespace=namespace) if namespace else ""
    manifest = deployment(f"{home.target}/{OPERATOR}")
    found = home.verify(manifest, secret=secret, origin=home.locked({OPERATOR: digest}))
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["unknown"]}
    assert reason in reasons(found)
    assert found.wrong == ()


def test_missing_is_told_even_where_the_secret_is_unknown(home):
    found = home.verify(deployment(f"{home.target}/redislabs/forgotten:2"))
    assert statuses(found) == {f"{home.target}/redislabs/forgotten:2": ["missing"]}


def cluster(**specs: dict) -> str:
    kind = {"apiVersion": "app.redislabs.com/v1", "kind": "RedisEnterpriseCluster"}
    return yaml.safe_dump({**kind, "metadata": {"name": "rec", "namespace": "redis"}, "spec": specs})


def image_specs(target: Target, *left_out: str) -> dict:
    names = {
        "redisEnterpriseImageSpec": ("redis", "7.2.4-64"),
        "bootstrapperImageSpec": ("operator", "7.2.4-7"),
        "redisEnterpriseServicesRiggerImageSpec": ("k8s-controller", "7.2.4-7"),
    }
    return {
        field: {"repository": f"{target}/redislabs/{name}", "versionTag": tag}
        for field, (name, tag) in names.items()
        if field not in left_out
    }


def test_a_cluster_pulls_with_its_own_pull_secrets(home):
    images = (OPERATOR, REDIS, "redislabs/k8s-controller:7.2.4-7")
    origin = home.locked({image: home.push(image) for image in images})
    specs = image_specs(home.target)
    found = home.verify(cluster(pullSecrets=[{"name": "pull"}], **specs), secret=home.secret(), origin=origin)
    assert statuses(found) == {f"{home.target}/{image}": ["proven"] for image in images}
    found = home.verify(cluster(**specs), secret=home.secret(), origin=origin)
    assert sorted(found.wrong) == sorted(f"{home.target}/{image}" for image in images)


def test_a_forgotten_image_spec_is_wrong_and_named(home):
    home.push(OPERATOR)
    manifest = cluster(
        pullSecrets=[{"name": "pull"}], **image_specs(home.target, "redisEnterpriseServicesRiggerImageSpec")
    )
    found = home.verify(deployment(f"{home.target}/{OPERATOR}"), manifest, secret=home.secret())
    assert "docker.io/redislabs/k8s-controller:7.2.4-7" in found.wrong


def test_a_forgotten_image_spec_of_an_unknown_release_is_wrong_and_its_place_named(home):
    spec = {"redisEnterpriseImageSpec": {"repository": f"{home.target}/redislabs/redis", "versionTag": "7.2.4-64"}}
    found = home.verify(cluster(pullSecrets=[{"name": "pull"}], **spec), secret=home.secret())
    assert "RedisEnterpriseCluster/redis/rec spec.bootstrapperImageSpec" in found.wrong


def test_an_open_tag_is_unknown_until_the_operator_is_known(home):
    digest = home.push(REDIS)
    home.push(OPERATOR)
    specs = image_specs(home.target)
    for spec in specs.values():
        del spec["versionTag"]
    manifest = cluster(pullSecrets=[{"name": "pull"}], **specs)
    found = home.verify(manifest, secret=home.secret())
    assert statuses(found)[f"{home.target}/redislabs/redis"] == ["unknown"]
    origin = home.locked({REDIS: digest})
    found = home.verify(manifest, deployment(f"{home.target}/{OPERATOR}"), secret=home.secret(), origin=origin)
    assert statuses(found)[f"{home.target}/{REDIS}"] == ["proven"]


def test_an_object_whose_pull_secret_is_anybodys_guess_is_unknown(home):
    home.push("team/app:1")
    thing = f"""
        apiVersion: example.com/v1
        kind: Thing
        metadata: {{name: thing}}
        spec: {{workers: [{{name: a, image: "{home.target}/team/app:1"}}]}}
    """
    found = home.verify(thing, secret=home.secret())
    assert statuses(found) == {f"{home.target}/team/app:1": ["unknown"]}
    assert "which pull secret a Thing pulls with is not known" in reasons(found)


def test_a_name_that_cannot_be_read_is_unknown(home):
    found = home.verify(deployment("$(REGISTRY)/app:1"), secret=home.secret())
    assert statuses(found) == {"$(REGISTRY)/app:1": ["unknown"]}


def test_lists_are_read_as_well(home):
    digest = home.push(OPERATOR)
    items = [yaml.safe_load(text) for text in (deployment(f"{home.target}/{OPERATOR}"), home.secret())]
    manifest = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    found = home.verify(manifest, origin=home.locked({OPERATOR: digest}))
    assert statuses(found) == {f"{home.target}/{OPERATOR}": ["proven"]}


def test_a_registry_that_cannot_be_asked_proves_nothing(home):
    pulls = read(deployment("127.0.0.1:9/app:1", secret=""))
    with pytest.raises(UnreachableError):
        verify(pulls, Mapping.parse("127.0.0.1:9"), home.registries, NO_ORIGIN)


def test_a_text_that_cannot_be_read_is_an_error(home):
    found = home.verify("a: [", deployment("nginx:1"))
    assert found.errors[0].startswith("0.yaml:2:1: ")
