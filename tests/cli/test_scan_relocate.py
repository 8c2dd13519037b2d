"""`homeport scan` and `homeport relocate` as a person runs them."""

import io
import json

import pytest
import yaml

from homeport.cli.app import run

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: a, image: nginx:1}\n"
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
  redisEnterpriseImageSpec: {repository: redislabs/redis, versionTag: 7.2.4-64}
  bootstrapperImageSpec: {repository: redislabs/operator}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "operator.yaml").write_text(OPERATOR)
    (tmp_path / "rec.yaml").write_text(REC)
    return tmp_path


def test_names_are_one_a_line_sorted_and_nothing_else(folder, capsys):
    assert run(["scan", ".", "-o", "names"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "docker.io/redislabs/k8s-controller:7.2.4-7",  # not written anywhere: the operator's default for the rigger
        "nginx:1",
        "redislabs/operator:7.2.4-7",  # the bootstrapper's spec leaves the tag to the operator
        "redislabs/redis:7.2.4-64",
    ]
    assert err == ""


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--keep-registry"], "registry.example.com/m/docker.io/library/nginx:1"),
        (["--map", "docker.io=hub", "--map", "docker.io/library=official"], "registry.example.com/m/official/nginx:1"),
    ],
)
def test_names_change_by_the_rule_that_options_say_and_only_once(folder, capsys, options, name):
    command = ["relocate", "--to", "registry.example.com/m", *options, "--in-place", "pod.yaml"]
    assert run(command) == 0
    assert (folder / "pod.yaml").read_text() == POD.replace("nginx:1", name)
    capsys.readouterr()
    assert run(command) == 0
    assert "nothing to change" in capsys.readouterr().err


def test_what_the_scan_does_not_see_is_named_by_the_second_look_and_the_file_is_written(folder, capsys):
    hidden = "---\napiVersion: example.com/v1\nkind: Thing\nspec: {odd: 'x,docker.io/org/hidden:1'}\n"
    (folder / "pod.yaml").write_text(POD + hidden)
    assert run(["relocate", "--to", "registry.example.com", "--in-place", "pod.yaml"]) == 1
    assert "left: pod.yaml:10: docker.io/org/hidden:1: docker.io is a source registry" in capsys.readouterr().err
    assert (folder / "pod.yaml").read_text() == POD.replace("nginx:1", "registry.example.com/library/nginx:1") + hidden


def test_schemas_and_rules_that_scan_knows_relocate_knows_too(folder, capsys):
    (folder / "crd.yaml").write_text(
        "kind: CustomResourceDefinition\nspec:\n  group: x.io\n  names: {kind: Thing}\n  versions:\n  - schema:\n"
        "      openAPIV3Schema: {properties: {spec: {properties: {runner: {type: string, description: container image to run},"
        " pullSecrets: {type: array, items: {type: string}}}}}}\n"
    )
    (folder / "thing.yaml").write_text(
        "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\nspec: {runner: busybox}\n"
    )
    command = ["relocate", "--to", "registry.example.com", "--pull-secret", "regcred", "thing.yaml"]
    assert run([*command, "--crds", "crd.yaml"]) == 0
    out = capsys.readouterr().out
    assert "runner: registry.example.com/library/busybox" in out
    assert "pullSecrets: [regcred]" in out.replace('"', "")
    assert run(command) == 0
    assert "runner: busybox" in capsys.readouterr().out
    (folder / "bad.yaml").write_text("rules")
    assert run([*command, "--rules", "bad.yaml"]) == 2


def test_a_rendered_chart_goes_to_stdout_or_a_folder_and_never_in_place(folder, capsys, monkeypatch):
    (folder / "bin").mkdir()
    (folder / "bin/helm").write_text(f"#!/bin/sh\nprintf '%s' '{POD}'\n")
    (folder / "bin/helm").chmod(0o755)
    (folder / "chart").mkdir()
    (folder / "chart/Chart.yaml").write_text("name: demo\n")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    command = ["relocate", "--to", "r.io", "chart"]
    assert run(command) == 0
    assert capsys.readouterr().out == POD.replace("nginx:1", "r.io/library/nginx:1")
    assert run([*command, "--output-dir", "out"]) == 0
    assert (folder / "out/demo.yaml").read_text() == POD.replace("nginx:1", "r.io/library/nginx:1")
    assert run([*command, "--in-place"]) == 2
    assert "chart (rendered) has no file to write to" in capsys.readouterr().err


@pytest.mark.parametrize(
    "ways",
    [
        ["--in-place", "--output-dir", "o"],
        ["--kustomize", "o", "--helm-values", "v"],
        ["--helm-values", "v", "pod.yaml"],
        ["--in-place", "-"],
    ],
)
def test_ways_out_that_exclude_each_other_are_refused(folder, ways):
    assert run(["relocate", "--to", "r.io", *ways, "rec.yaml" if "-" not in ways else "pod.yaml"]) == 2


def test_an_overlay_and_a_charts_values_are_written_by_the_command(folder, capsys, monkeypatch):
    assert run(["relocate", "--to", "r.io", "--kustomize", "o", "pod.yaml"]) == 0
    assert yaml.safe_load((folder / "o/kustomization.yaml").read_text())["images"] == [
        {"name": "nginx", "newName": "r.io/library/nginx"}
    ]
    assert (folder / "o/resources/pod.yaml").read_text() == POD
    assert (folder / "pod.yaml").read_text() == POD
    (folder / "chart").mkdir()
    (folder / "chart/Chart.yaml").write_text("name: demo\n")
    monkeypatch.setenv("PATH", str(folder))
    (folder / "chart/values.yaml").write_text("image: {repository: quay.io/a/b, tag: '1'}\n")
    assert run(["relocate", "--to", "r.io", "--helm-values", "v.yaml", "chart"]) == 1
    assert yaml.safe_load((folder / "v.yaml").read_text()) == {"image": {"repository": "r.io/a/b"}}
    err = capsys.readouterr().err
    assert "quay.io/a/b -> r.io/a/b" in err
    assert "there is no helm on the PATH" in err, "so it is not proved"
    assert run(["relocate", "--to", "r.io", "--helm-values", "v.yaml", "pod.yaml"]) == 2
    assert "pod.yaml is no Helm chart" in capsys.readouterr().err


def test_a_source_of_one_file_is_looked_for_in_all(folder, capsys):
    (folder / "rec.yaml").write_text("registry: docker.io\n")
    assert run(["relocate", "--to", "registry.example.com", "pod.yaml", "rec.yaml"]) == 1
    assert "left: rec.yaml:1: docker.io: docker.io is a source registry" in capsys.readouterr().err


def test_an_operators_default_is_unresolved_where_no_version_is_known(folder, capsys):
    assert run(["scan", "rec.yaml", "-o", "names"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["open: redislabs/operator", "redislabs/redis:7.2.4-64"]
    assert "spec.redisEnterpriseServicesRiggerImageSpec" in err
    assert "the operator's version is not known" in err


def test_the_json_report_groups_places_by_image(folder, capsys):
    assert run(["scan", "operator.yaml", "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["images", "unresolved", "errors"]
    (image,) = report["images"]
    assert {key: image[key] for key in ("reference", "registry", "repository", "tag", "digest", "open")} == {
        "reference": "docker.io/redislabs/operator:7.2.4-7",
        "registry": "docker.io",
        "repository": "redislabs/operator",
        "tag": "7.2.4-7",
        "digest": None,
        "open": False,
    }
    assert image["findings"][0] == {
        "source": "operator.yaml",
        "line": 8,
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "", "name": "redis-enterprise-operator"},
        "path": "spec.template.spec.containers[0].image",
        "how": "built-in field",
        "text": "redislabs/operator:7.2.4-7",
        "sure": "certain",
    }
    assert len(image["findings"]) == 2


def test_yaml_says_what_json_says(folder, capsys):
    run(["scan", ".", "-o", "json"])
    as_json = json.loads(capsys.readouterr().out)
    run(["scan", ".", "-o", "yaml"])
    assert yaml.safe_load(capsys.readouterr().out) == as_json


def test_the_table_groups_by_registry(folder, capsys):
    (folder / "pod.yaml").write_text(POD.replace("nginx:1", "quay.io/a/b:1"))
    run(["scan", "."])
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "docker.io  (3 images)"
    assert "quay.io  (1 image)" in out
    assert "pod.yaml:6  Pod/p  spec.containers[0].image  (built-in field)" in out
    assert "(rule redis-enterprise, its tag is the operator's default)" in out


def test_stdin_and_a_default_registry(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(POD.encode())))
    assert run(["scan", "-", "--default-registry", "registry.redhat.io", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["reference"] == "registry.redhat.io/nginx:1"


def test_one_broken_file_among_many_is_named_and_the_rest_goes_on(folder, capsys):
    (folder / "broken.yaml").write_text("a:\n\t- b\n")
    assert run(["scan", "pod.yaml", "broken.yaml", "missing.yaml", "-o", "names"]) == 1
    out, err = capsys.readouterr()
    assert out == "nginx:1\n"
    assert "error: broken.yaml:2:1: a tab stands where YAML wants blanks" in err
    assert "error: missing.yaml: cannot be read: No such file or directory" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan"], "nothing to scan"),
        (["scan", "missing.yaml"], "No such file"),
        (["scan", "broken.yaml"], "broken.yaml:1:5"),
        (["scan", "latin.yaml"], "not UTF-8"),
        (["scan", "deep.yaml"], "nested deeper than 1,000 levels"),
        (["scan", "empty"], "no manifest in this folder"),
        (["scan", "pod.yaml", "--max-size", "10"], "larger than 10 bytes"),
        (["scan", "pod.yaml", "--no-such-option"], "there is no option --no-such-option"),
        (["scan", "pod.yaml", "--default-registry", "https://x"], "is not a registry"),
        (["scan", "pod.yaml", "--context", "x"], "Add --cluster"),
        (["relocate", "--to", "r.io"], "nothing to relocate"),
        (["relocate", "--to", "https://r.io", "pod.yaml"], "is not a registry"),
        (["relocate", "--to", "r.io", "broken.yaml"], "broken.yaml:1:5"),
        (["relocate", "--to", "r.io", "missing.yaml"], "No such file"),
        (["relocate", "--to", "r.io", "-", "--in-place"], "stdin has no file"),
        (["relocate", "--to", "r.io", "pod.yaml", "--in-place", "--output-dir", "x"], "exclude each other"),
        (["relocate", "--to", "r.io", "pod.yaml", "--operator", "a b"], "is not a tag"),
        (["relocate", "--to", "r.io", "pod.yaml", "--pull-secret", 'a"b'], "is not a Secret's name"),
        (["relocate", "--to", "r.io", "pod.yaml", "quay.yaml"], "would both become r.io/library/nginx:1"),
        (
            ["relocate", "--to", "r.io", "pod.yaml", "empty/../pod.yaml", "--output-dir", "x"],
            "would both be written to x/pod.yaml",
        ),
    ],
)
def test_where_nothing_can_be_done_the_exit_code_is_2(folder, capsys, arguments, words):
    (folder / "broken.yaml").write_text("a: b: c\n")
    (folder / "latin.yaml").write_bytes("a: ü\n".encode("latin-1"))
    (folder / "deep.yaml").write_text("[" * 30_000)
    (folder / "quay.yaml").write_text(POD.replace("nginx", "quay.io/library/nginx"))
    (folder / "empty").mkdir()
    before = {path: path.read_bytes() for path in folder.glob("*.yaml")}
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 4
    assert out.strip() in {"", "no image found"}
    assert before == {path: path.read_bytes() for path in folder.glob("*.yaml")}


RELOCATE = ["relocate", "--to", "reg.io:5000/m"]


def test_the_text_goes_to_stdout_and_the_report_to_stderr(folder, capfdbinary):
    assert run([*RELOCATE, "pod.yaml", "operator.yaml", "--pull-secret", "regcred"]) == 0
    out, err = capfdbinary.readouterr()
    pod, operator = yaml.safe_load_all(out)
    assert pod["spec"]["imagePullSecrets"] == [{"name": "regcred"}]
    images = [container["image"] for container in operator["spec"]["template"]["spec"]["containers"]]
    assert images == ["reg.io:5000/m/redislabs/operator:7.2.4-7"] * 2
    assert b"  line 6: nginx:1 -> reg.io:5000/m/library/nginx:1\n" in err
    assert b"added spec.imagePullSecrets: regcred" in err


def test_files_are_rewritten_in_place_and_a_second_run_writes_none(folder, capsys):
    assert run([*RELOCATE, ".", "--in-place", "--operator", "7.2.4-7"]) == 0
    assert "image: reg.io:5000/m/library/nginx:1" in (folder / "pod.yaml").read_text()
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run([*RELOCATE, ".", "--in-place", "--operator", "7.2.4-7"]) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert "pod.yaml: nothing to change" in capsys.readouterr().err


def test_the_operators_deployment_tells_what_a_cluster_lacks(folder, capsys):
    assert run([*RELOCATE, "operator.yaml", "rec.yaml", "--output-dir", "out"]) == 0
    spec = yaml.safe_load((folder / "out" / "rec.yaml").read_text())["spec"]
    assert spec["redisEnterpriseServicesRiggerImageSpec"] == {
        "repository": "reg.io:5000/m/redislabs/k8s-controller",
        "versionTag": "7.2.4-7",
    }
    assert spec["bootstrapperImageSpec"] == {"repository": "reg.io:5000/m/redislabs/operator"}
    assert (folder / "rec.yaml").read_text() == REC
    assert capsys.readouterr().out == ""


def test_what_stays_unresolved_exits_with_1(folder, capsys):
    assert run([*RELOCATE, "rec.yaml", "--dry-run"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "--operator TAG names" in err
    assert "unresolved: rec.yaml:1: RedisEnterpriseCluster/rec spec.redisEnterpriseServicesRiggerImageSpec" in err


def test_a_diff_shows_and_writes_nothing(folder, capsys):
    assert run([*RELOCATE, "pod.yaml", "--diff"]) == 0
    out = capsys.readouterr().out
    assert "-  - {name: a, image: nginx:1}\n+  - {name: a, image: reg.io:5000/m/library/nginx:1}\n" in out
    assert (folder / "pod.yaml").read_text() == POD


def test_a_broken_file_does_not_stop_the_others(folder, capsys):
    (folder / "broken.yaml").write_text("a: b: c\n")
    assert run([*RELOCATE, "broken.yaml", "pod.yaml", "--in-place"]) == 1
    assert "reg.io:5000/m/library/nginx:1" in (folder / "pod.yaml").read_text()
    assert "error: broken.yaml:1:5" in capsys.readouterr().err


def test_a_byte_order_mark_and_line_ends_survive_in_place(folder):
    path = folder / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + POD.replace("\n", "\r\n").encode())
    assert run([*RELOCATE, "windows.yaml", "--in-place"]) == 0
    expected = POD.replace("nginx:1", "reg.io:5000/m/library/nginx:1").replace("\n", "\r\n")
    assert path.read_bytes() == b"\xef\xbb\xbf" + expected.encode()


def test_an_alias_that_cannot_move_alone_exits_with_1(folder, capsys):
    (folder / "pod.yaml").write_text(POD.replace("name: a, image: nginx:1", "name: &n nginx, image: *n"))
    assert run([*RELOCATE, "pod.yaml", "--in-place"]) == 1
    assert "pod.yaml:6: nginx has an anchor that is used elsewhere" in capsys.readouterr().err
