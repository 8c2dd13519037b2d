"""What changing a real cluster does, keeps and leaves, and what goes back."""

import json
from typing import Any

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cluster.api import Api
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.cluster.record import Record
from homeport.registry.credentials import Credential
from homeport.workflow.live_apply import apply_live
from homeport.workflow.live_rollback import plan_rollback, roll_back
from homeport.workflow.live_spread import plan_spread
from tests.kit.cluster_contract import made
from tests.peers.kube_bench import REPORT, TARGET, Bench
from tests.peers.kube_site import workload

pytestmark = pytest.mark.peers


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


def test_custom_resources_take_the_pull_secret_in_the_form_that_their_definition_says(bench: Bench, api: Api) -> None:
    name = {"type": "string"}
    fields = {
        "image": {"type": "string", "description": "Container image to run."},
        "pullSecret": name,
        "imagePullSecrets": {"type": "array", "items": name},
        "pullSecretRef": {"type": "object", "properties": {"name": name}},
    }
    bench.cluster.define("stalls.example.com", "Stall", "v1", fields)

    def stall(called: str, **spec: Any) -> dict[str, Any]:
        spec = {"image": "team/web:1", **spec}
        value = made("Stall", called, spec, api_version="stalls.example.com/v1", namespace=bench.name)
        return dict(bench.cluster.create(value)["spec"])

    def now(called: str) -> dict[str, Any]:
        return dict(yaml.safe_load(bench.kubectl("get", "stall", called, "-o", "yaml"))["spec"])

    before = {"empty": stall("empty"), "full": stall("full", pullSecret="theirs", imagePullSecrets=["theirs"])}
    plan = bench.plan(api)
    assert apply_live(api, plan, bench.journal(api), namespace=bench.name, silence=1).failed is None
    web = "registry.example.com/mirror/team/web:1"
    ref = {"name": "private"}
    assert now("empty") == {
        "image": web,
        "pullSecret": "private",
        "imagePullSecrets": ["private"],
        "pullSecretRef": ref,
    }
    assert now("full") == {
        "image": web,
        "pullSecret": "theirs",
        "imagePullSecrets": ["theirs", "private"],
        "pullSecretRef": ref,
    }
    assert [(it.object.name, it.path, it.image) for it in plan.left] == [("full", "spec.pullSecret", "theirs")]

    # The same is told where no image moves, only the secret.
    secret = make_pull_secret("private", bench.name, TARGET, Credential("ann", "s3cret-word"))
    spread = plan_spread(api, TARGET, [secret], attach=lambda _: KNOWLEDGE)
    assert [(it.object.name, it.path) for it in spread.left] == [("full", "spec.pullSecret")]

    # A secret of another name that serves the registry is no conflict, and a second run has nothing to do.
    bench.cluster.create(make_pull_secret("theirs", bench.name, TARGET, Credential("bob", "another-word")))
    plan = bench.plan(api)
    assert plan.left == ()
    assert not any(it.changes for it in plan.objects)

    roll_back(api, plan_rollback(api, bench.journal(api).read()), bench.journal(api), namespace=bench.name)
    assert {called: now(called) for called in before} == before
