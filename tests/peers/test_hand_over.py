"""What is written for Flux and Argo CD is built by the kustomize in kubectl, as their controllers do."""

import subprocess
from pathlib import Path

import pytest
import yaml

from homeport.cluster.owners import Owner
from homeport.workflow.live_hand_over import handed_to_git
from tests.kit.peers import peer
from tests.workflow.test_live_hand_over import BROUGHT, TO, deployment, rules, shop

pytestmark = pytest.mark.peers


def test_kustomize_makes_of_it_what_is_wanted(tmp_path: Path) -> None:
    objects = [
        deployment("team/web:1", BROUGHT[2], env={"RELATED_IMAGE_SIDE": "docker.io/team/side:2"}),
        deployment("team/other:1", name="other"),
        shop("team/web:1"),
    ]
    (file,), _ = handed_to_git(Owner("", "", "Kustomization", "apps", "flux-system"), objects, rules())
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    kustomization = {"resources": ["all.yaml"], **yaml.safe_load(file.text)["spec"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    done = subprocess.run((peer("kubectl"), "kustomize", str(tmp_path)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {value["metadata"]["name"]: value["spec"] for value in yaml.safe_load_all(done.stdout)}
    first, second = built["web"]["template"]["spec"]["containers"]
    assert (first["image"], second["image"]) == (f"{TO}/team/web:1", f"{TO}/{BROUGHT[2].removeprefix('quay.io/')}")
    assert first["env"] == [{"name": "RELATED_IMAGE_SIDE", "value": f"{TO}/team/side:2"}]
    assert built["other"]["template"]["spec"]["containers"][0]["image"] == "team/other:1"
    assert built["corner"] == {"image": f"{TO}/team/web:1", "pull": "private"}
