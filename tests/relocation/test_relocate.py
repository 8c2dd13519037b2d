"""Manifests rewritten in place: only what must change changes, and the result is proved."""

import json
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import homeport.relocation.relocate as room
from homeport.applications.redis_enterprise import Choice, knowledge
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.errors import CollisionError, InputError, UnprovenError
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import Relocated, relocate
from homeport.relocation.splice import splice as real

MIRROR = Mapping(Target.parse("reg.io:5000/m"))
RELEASE = knowledge(Choice(("7.2.4-7",)))


def run(text: str, secret: str | None = None, rules=RELEASE, mapping=MIRROR) -> Relocated:
    result = relocate(Source("f.yaml", text), mapping, knowledge=rules, pull_secret=secret)
    again = relocate(Source("f.yaml", result.text), mapping, knowledge=rules, pull_secret=secret)
    assert again.text == result.text, "a second run must change nothing"
    assert (again.edits, again.insertions) == ((), ())
    return result


def rewritten(text: str, secret: str | None = None, rules=RELEASE) -> str:
    return run(dedent(text), secret, rules).text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a/b:1", "reg.io:5000/m/a/b:1"),
        ("'a/b:1'", "'reg.io:5000/m/a/b:1'"),
        ('"a/b:1"', '"reg.io:5000/m/a/b:1"'),
        ('"a\\u002fb:1"', '"reg.io:5000/m/a/b:1"'),
        ("nginx   # pinned: nginx", "reg.io:5000/m/library/nginx   # pinned: nginx"),
        ("!!str nginx", "!!str reg.io:5000/m/library/nginx"),
        ("&nginx nginx", "&nginx reg.io:5000/m/library/nginx"),
        (">-\n      nginx:1", ">-\n      reg.io:5000/m/library/nginx:1"),
        ("|-\n      nginx:1\n", "|-\n      reg.io:5000/m/library/nginx:1\n"),
        ("\n      nginx:1", "\n      reg.io:5000/m/library/nginx:1"),
    ],
)
def test_a_name_keeps_its_spelling(before, after):
    text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: x\n    image: {}\n"
    assert run(text.format(before)).text == text.format(after)


def test_an_ipv6_target_is_quoted_where_it_must_be():
    mapping = Mapping(Target.parse("[::1]:5000"))
    text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: nginx:1\n"
    assert run(text, mapping=mapping).text.endswith('image: "[::1]:5000/library/nginx:1"\n')


DEPLOYMENT = """\
# the operator
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis-enterprise-operator}
spec:
  template:
    spec:
      serviceAccountName: redis-enterprise-operator
      # both containers run the same image
      containers:
        - name: redis-enterprise-operator
          image: redislabs/operator:7.2.4-7
        - name: admission
          image: "redislabs/operator:7.2.4-7"
"""


def test_every_container_is_rewritten_and_the_secret_stands_above_them():
    assert (
        rewritten(DEPLOYMENT, "regcred")
        == """\
# the operator
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis-enterprise-operator}
spec:
  template:
    spec:
      serviceAccountName: redis-enterprise-operator
      imagePullSecrets:
        - name: regcred
      # both containers run the same image
      containers:
        - name: redis-enterprise-operator
          image: reg.io:5000/m/redislabs/operator:7.2.4-7
        - name: admission
          image: "reg.io:5000/m/redislabs/operator:7.2.4-7"
"""
    )


def test_line_ends_stay_and_new_lines_have_them():
    result = rewritten(DEPLOYMENT.replace("\n", "\r\n"), "regcred")
    assert result == rewritten(DEPLOYMENT, "regcred").replace("\n", "\r\n")


def test_one_container_done_by_hand_is_no_obstacle():
    half = DEPLOYMENT.replace("image: redislabs", "image: reg.io:5000/m/redislabs", 1)
    assert rewritten(half) == rewritten(DEPLOYMENT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "{containers: [{image: a}]}",
            "{imagePullSecrets: [{name: s}], containers: [{image: reg.io:5000/m/library/a}]}",
        ),
        (
            '{"containers": [{"image": "a"}]}',
            '{"imagePullSecrets": [{"name": "s"}], "containers": [{"image": "reg.io:5000/m/library/a"}]}',
        ),
        (
            "{imagePullSecrets: [], containers: [{image: a}]}",
            "{imagePullSecrets: [{name: s}], containers: [{image: reg.io:5000/m/library/a}]}",
        ),
        (
            "{imagePullSecrets: [{name: old}], containers: [{image: a}]}",
            "{imagePullSecrets: [{name: s}, {name: old}], containers: [{image: reg.io:5000/m/library/a}]}",
        ),
        (
            "{imagePullSecrets: [{name: s}], containers: [{image: a}]}",
            "{imagePullSecrets: [{name: s}], containers: [{image: reg.io:5000/m/library/a}]}",
        ),
        (
            "\n  imagePullSecrets:\n  - name: old\n  containers: [{image: a}]",
            "\n  imagePullSecrets:\n  - name: s\n  - name: old\n  containers: [{image: reg.io:5000/m/library/a}]",
        ),
        (
            "\n  imagePullSecrets: # none yet\n  containers: [{image: a}]",
            "\n  imagePullSecrets: [{name: s}] # none yet\n  containers: [{image: reg.io:5000/m/library/a}]",
        ),
        (
            "\n  imagePullSecrets: ~\n  containers: [{image: a}]",
            "\n  imagePullSecrets: [{name: s}]\n  containers: [{image: reg.io:5000/m/library/a}]",
        ),
    ],
)
def test_a_pull_secret_is_added_once_in_the_style_of_the_place(before, after):
    text = "apiVersion: v1\nkind: Pod\nspec: {}\n"
    result = run(text.replace("{}", before), "s")
    assert result.text == text.replace("{}", after)


def test_json_stays_json():
    text = '{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"spec": {\n\t\t"containers": [\n\t\t\t{"image": "a:1"}\n\t\t]\n\t}\n}'
    result = rewritten(text, "s")
    assert json.loads(result)["spec"] == {
        "imagePullSecrets": [{"name": "s"}],
        "containers": [{"image": "reg.io:5000/m/library/a:1"}],
    }
    assert result.count("\n") == text.count("\n") + 1


def test_a_service_account_lends_the_secret_to_its_pods():
    text = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: redis-enterprise-operator\n---\nkind: Role\n"
    assert rewritten(text, "regcred") == text.replace("---", "imagePullSecrets:\n- name: regcred\n---")


@pytest.mark.parametrize("secret", ["on", "1234", "1e3", "null", "0x1f"])
def test_a_secrets_name_is_a_string_to_every_reader(secret):
    result = rewritten("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x\n", secret)
    assert f'- name: "{secret}"\n' in result


@pytest.mark.parametrize("end", ["", "\n", "\n\n# the end\n", "\n...\n"])
def test_a_text_ends_as_it_ended(end):
    text = f"apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: x{end}"
    result = rewritten(text, "s")
    assert result.endswith(end or "name: x")
    assert next(iter(yaml.safe_load_all(result)))["imagePullSecrets"] == [{"name": "s"}]


def test_a_block_scalar_before_an_insertion_keeps_its_value():
    for last in ("|\n    text", "|\n    text\n", "|+\n    text\n\n\n", ">-\n    text\n"):
        for rest in ("", "---\nkind: X\n") if last.endswith("\n") else ("",):
            text = f"apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {last}{rest}"
            before, *others = yaml.safe_load_all(text)
            after, *after_others = yaml.safe_load_all(rewritten(text, "s"))
            assert after == before | {"imagePullSecrets": [{"name": "s"}]}
            assert after_others == others


REC = """\
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
metadata:
  name: rec
spec:
  nodes: 3
"""


def test_a_cluster_gets_its_image_specs_and_its_own_field_for_secrets():
    result = run(REC, "regcred")
    assert (
        result.text
        == REC
        + """\
  redisEnterpriseImageSpec:
    repository: reg.io:5000/m/redislabs/redis
    versionTag: 7.2.4-64
  bootstrapperImageSpec:
    repository: reg.io:5000/m/redislabs/operator
    versionTag: 7.2.4-7
  redisEnterpriseServicesRiggerImageSpec:
    repository: reg.io:5000/m/redislabs/k8s-controller
    versionTag: 7.2.4-7
  pullSecrets:
  - name: regcred
"""
    )
    assert [str(reference) for reference in result.references] == [
        "docker.io/redislabs/k8s-controller:7.2.4-7",
        "docker.io/redislabs/operator:7.2.4-7",
        "docker.io/redislabs/redis:7.2.4-64",
    ]
    assert result.unresolved == ()
    assert len(result.insertions) == 4


def test_without_a_known_operator_a_cluster_is_left_and_named():
    result = run(REC, rules=knowledge(Choice()))
    assert result.text == REC
    assert [place.path for place in result.unresolved] == [
        "spec.redisEnterpriseImageSpec",
        "spec.bootstrapperImageSpec",
        "spec.redisEnterpriseServicesRiggerImageSpec",
        "spec.usageMeter.callHomeClient.imageSpec",
    ]


def test_the_call_home_client_is_nested_into_what_is_there():
    text = REC + "  usageMeter:\n    callHomeClient:\n      cronExpression: '0 23 * * *'\n"
    result = rewritten(text, rules=knowledge(Choice(("7.22.0-7",))))
    assert yaml.safe_load(result)["spec"]["usageMeter"]["callHomeClient"] == {
        "cronExpression": "0 23 * * *",
        "imageSpec": {"repository": "reg.io:5000/m/redislabs/re-call-home-client", "versionTag": "7.22.0-7"},
    }
    disabled = REC + "  usageMeter: {callHomeClient: {disabled: true}}\n"
    assert "re-call-home-client" not in rewritten(disabled, rules=knowledge(Choice(("7.22.0-7",))))


def test_open_tags_stay_open_and_given_tags_stay_as_they_are():
    text = REC + (
        "  redisEnterpriseImageSpec: {versionTag: 7.2.4-109}\n"
        "  bootstrapperImageSpec: {repository: redislabs/operator}\n"
        "  redisEnterpriseServicesRiggerImageSpec:\n"
    )
    spec = yaml.safe_load(rewritten(text))["spec"]
    assert spec["redisEnterpriseImageSpec"] == {
        "versionTag": "7.2.4-109",
        "repository": "reg.io:5000/m/redislabs/redis",
    }
    assert spec["bootstrapperImageSpec"] == {"repository": "reg.io:5000/m/redislabs/operator"}
    assert spec["redisEnterpriseServicesRiggerImageSpec"] == {
        "repository": "reg.io:5000/m/redislabs/k8s-controller",
        "versionTag": "7.2.4-7",
    }


def test_a_cluster_without_a_spec_gets_one():
    text = "apiVersion: app.redislabs.com/v1\nkind: RedisEnterpriseCluster\nmetadata: {name: rec}\n"
    spec = yaml.safe_load(rewritten(text, "s"))["spec"]
    assert set(spec) == {
        "redisEnterpriseImageSpec",
        "bootstrapperImageSpec",
        "redisEnterpriseServicesRiggerImageSpec",
        "pullSecrets",
    }


def test_a_clusters_pods_take_its_secrets_and_get_none_of_their_own():
    text = REC + "  redisEnterpriseAdditionalPodSpecAttributes: {initContainers: [{name: i, image: python:3.7}]}\n"
    result = rewritten(text, "s")
    assert "image: reg.io:5000/m/library/python:3.7" in result
    assert result.count("name: s\n") == 1


def test_an_empty_repository_is_filled():
    spec = yaml.safe_load(rewritten(REC + "  redisEnterpriseImageSpec: {repository: '', versionTag: 7.2.4-105}\n"))[
        "spec"
    ]
    assert spec["redisEnterpriseImageSpec"] == {
        "repository": "reg.io:5000/m/redislabs/redis",
        "versionTag": "7.2.4-105",
    }


def test_a_custom_resources_pods_get_the_secret_where_they_surely_have_the_field():
    template = "apiVersion: argoproj.io/v1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: a}]}}}\n"
    assert "template: {spec: {imagePullSecrets: [{name: s}], containers:" in rewritten(template, "s")
    other = "apiVersion: x.io/v1\nkind: X\nspec: {containers: [{image: a}]}\n"
    assert "imagePullSecrets" not in rewritten(other, "s")
    known = "apiVersion: x.io/v1\nkind: X\nspec: {imagePullSecrets: [], containers: [{image: a}]}\n"
    assert "imagePullSecrets: [{name: s}]" in rewritten(known, "s")


def test_a_value_that_looks_like_a_comment_stays_whole():
    text = "apiVersion: v1\nkind: Pod\nspec:\n  hostname: 'x\n  # y'\n  # about\n  containers:\n  - image: a\n"
    assert yaml.safe_load(rewritten(text, "s"))["spec"]["hostname"] == "x # y"
    odd = text.replace("  # y'\n  # about\n", "  # y'\n")
    assert yaml.safe_load(rewritten(odd, "s"))["spec"]["hostname"] == "x # y"


def test_a_place_for_secrets_that_is_no_list_is_named():
    result = relocate(Source("f", REC + "  pullSecrets: mine\n"), MIRROR, knowledge=RELEASE, pull_secret="s")
    assert [place.path for place in result.unresolved] == ["spec.pullSecrets"]


def test_an_anchor_that_serves_something_else_is_refused_with_its_line():
    text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: &x nginx\n    name: *x\n"
    with pytest.raises(UnprovenError, match=r"f\.yaml:5: nginx has an anchor that is used elsewhere, too \(line 6\)"):
        run(text)
    with pytest.raises(UnprovenError, match=r"f\.yaml:1: nginx .*line 1"):
        run("{apiVersion: v1, kind: Pod, spec: {containers: [{image: &x nginx, name: *x}]}}")


def test_an_anchor_whose_uses_are_all_images_moves_as_one():
    text = "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: &x nginx:1\n  containers:\n  - image: *x\n"
    assert rewritten(text) == text.replace("nginx:1", "reg.io:5000/m/library/nginx:1")


def test_what_an_alias_shares_moves_once():
    text = (
        REC
        + "  redisEnterpriseImageSpec: {repository: &x a/b, versionTag: '1'}\n  sideContainersSpec: [{name: s, image: *x}]\n"
    )
    assert "repository: &x reg.io:5000/m/a/b" in rewritten(text)
    both = (
        "apiVersion: v1\nkind: List\nitems:\n- &p {apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}\n- *p\n"
    )
    assert both.replace("image: a", "image: reg.io:5000/m/library/a") == rewritten(both)


def test_merged_containers_are_rewritten_where_they_are_written():
    text = """\
    x-base: &base
      name: a
      image: nginx:1
    apiVersion: v1
    kind: Pod
    spec:
      containers:
      - <<: *base
    """
    assert rewritten(text) == dedent(text).replace("nginx:1", "reg.io:5000/m/library/nginx:1")


def test_images_of_a_kustomization_without_its_folder_are_named():
    text = "kind: Kustomization\nresources: [pod.yaml]\nimages:\n- {name: nginx, newTag: '2'}\n"
    (place,) = relocate(Source("-", text), MIRROR, knowledge=RELEASE).unresolved
    assert "name the folder that holds them" in place.reason
    assert (
        relocate(Source("values.yaml", "images: [{name: nginx, newTag: '2'}]\n"), MIRROR, knowledge=RELEASE).unresolved
        == ()
    )


EXAMPLES = """\
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata:
  name: x.v1
  annotations:
    alm-examples: |-
      [
        {"kind": "Thing", "apiVersion": "x.io/v1", "metadata": {"name": "t"},
         "spec": {"server": {"repository": "quay.io/a/b", "tag": "1"}, "sidecar": {"image": "nginx:1"}}}
      ]
"""


def test_examples_are_rewritten_where_a_person_asks_for_it():
    assert run(EXAMPLES).text == EXAMPLES
    asked = run(EXAMPLES, rules=RELEASE + Knowledge(examples=True))
    after = EXAMPLES.replace("quay.io/a/b", "reg.io:5000/m/a/b").replace("nginx:1", "reg.io:5000/m/library/nginx:1")
    assert asked.text == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("imageSource: {url: quay.io/org/app}\n", "imageSource: {url: reg.io:5000/m/org/app}\n"),
        ("source: quay.io/org/app:word\n", "source: reg.io:5000/m/org/app:word\n"),
        ("imageSet: {all: 'quay.io/a/b ghcr.io/c/d'}\n", "imageSet: {all: 'reg.io:5000/m/a/b reg.io:5000/m/c/d'}\n"),
    ],
)
def test_what_is_an_image_because_of_its_registry_is_one_at_the_target_too(before: str, after: str):
    """`reg.io:5000` says of itself less than `quay.io` does."""
    assert run(before).text == after


def test_what_an_object_is_called_is_no_image():
    text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: quay.io/a/b:1, annotations: {made-by: 'quay.io/a/c:1'}}\n"
    assert run(text).text == text.replace("quay.io/a/c", "reg.io:5000/m/a/c")


def test_two_sources_of_one_name_are_refused():
    text = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'quay.io/a/b:1'}, {image: 'docker.io/a/b:1'}]}\n"
    with pytest.raises(CollisionError, match=r"docker\.io/a/b:1 and quay\.io/a/b:1"):
        run(text)


def test_schemas_in_the_same_text_are_not_touched():
    schema = "kind: CustomResourceDefinition\nspec: {template: {spec: {containers: [{image: a}]}}}\n---\n"
    assert rewritten(schema + DEPLOYMENT) == schema + rewritten(DEPLOYMENT)


def test_a_broken_text_is_not_rewritten():
    with pytest.raises(InputError, match=r"f\.yaml:1:5"):
        run("a: b: c\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text, changes: text,
        lambda text, changes: real(text, changes) + "---\nkind: X\n",
        lambda text, changes: real(text, changes).replace("}]}}", "}, {image: '$(X)'}]}}"),
        lambda text, changes: text + "\n: [",
        lambda text, changes: real(text, changes).replace("/m/library/a", "/m/library/b"),
        lambda text, changes: real(text, changes).replace("imagePullSecrets", "imagePullSecretz"),
        lambda text, changes: real(text, changes).replace("}]}}", "}, {image: z}]}}"),
    ],
)
def test_a_result_that_does_not_scan_as_planned_is_refused(monkeypatch, spoil):
    monkeypatch.setattr(room, "splice", lambda text, changes: spoil(text, list(changes)))
    with pytest.raises(UnprovenError):
        relocate(
            Source("f", "{apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}\n"),
            MIRROR,
            knowledge=RELEASE,
            pull_secret="s",
        )


COMMENT = st.sampled_from(["", '  # it\'s: "odd" {x} - nginx', " #é😀"])
IMAGE = st.sampled_from(["a", "a/b:1", "docker.io/a/b:2", "q.io/c@sha256:" + "0" * 64, "reg.io:5000/m/a/b:1"])
QUOTE = st.sampled_from(["", "'", '"'])


@st.composite
def manifests(draw) -> str:
    """Pods in odd but valid spellings, with what surrounds them."""
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    documents = []
    for _ in range(draw(st.integers(1, 3))):
        margin = " " * draw(st.integers(0, 3))
        lines = [f"kind: Pod{draw(COMMENT)}", "apiVersion: v1", "metadata: {name: &n x, labels: {é: *n}}", "spec:"]
        if draw(st.booleans()):
            lines += ["  # about the containers", f"  restartPolicy: Always{draw(COMMENT)}"]
        lines += [f"  containers:{draw(COMMENT)}"]
        for number in range(draw(st.integers(1, 3))):
            quote, image, comment = draw(QUOTE), draw(IMAGE), draw(COMMENT)
            if draw(st.booleans()):
                lines += [
                    f"  {margin}- {{ name: c{number}, image: {quote}{image}{quote} , args: ['|',\"#\"] }}{comment}"
                ]
            else:
                lines += [f"  {margin}- name: c{number}", "", f"  {margin}  image:   {quote}{image}{quote}{comment}"]
                lines += [f"  {margin}  command: |+", f"  {margin}    run {image}", "", f"  {margin}  tty: true"]
        documents.append(line_end.join(lines))
    text = f"{line_end}---{draw(COMMENT)}{line_end}".join(documents)
    return text + draw(st.sampled_from(["", line_end, line_end * 3, f"{line_end}# end"]))


@given(manifests(), st.booleans())
def test_not_one_character_changes_outside_the_names(text, with_secret):
    result = run(text, "s" if with_secret else None)
    at = 0
    rest = result.text
    for finding in sorted((it for it in findings_of(text)), key=lambda it: it.parts[0].start):
        part = finding.parts[0]
        kept = text[at : part.start]
        if with_secret:
            # Each pod's insertion is two whole lines above its containers.
            rest = consume(rest, kept)
        else:
            assert rest.startswith(kept)
            rest = rest[len(kept) :]
        new = text[part.start : part.end].replace(part.value, str(MIRROR.relocate(finding.reference)))
        assert rest.startswith(new)
        rest = rest[len(new) :]
        at = part.end
    assert rest == text[at:]


def consume(rest: str, kept: str) -> str:
    if rest.startswith(kept):
        return rest[len(kept) :]
    line_end = "\r\n" if "\r\n" in rest else "\n"
    start = next(i for i in range(len(kept)) if kept[i] != rest[i])
    start = rest.rfind("\n", 0, start + 1) + 1
    margin = rest[start : len(rest) - len(rest[start:].lstrip(" "))]
    added = rest[start:].split(line_end)[:2]
    assert added[0] == f"{margin}imagePullSecrets:"
    assert added[1].lstrip(" ") == "- name: s"
    length = sum(len(line) + len(line_end) for line in added)
    return consume(rest[:start] + rest[start + length :], kept)


def findings_of(text: str):
    return scan_source(Source("f", text), RELEASE).findings
