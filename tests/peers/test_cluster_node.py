"""The cluster of the tests itself: pods start from the project's own registry, and from nowhere else."""

import pytest

from homeport.registry.session import Registries
from tests.kit.cluster_contract import made, pod_spec
from tests.kit.images import put
from tests.peers.kube_images import sleepers
from tests.peers.kube_site import Site

pytestmark = pytest.mark.peers


def test_a_pod_starts_from_the_registry(site: Site) -> None:
    site.node.namespace("plain")
    with Registries() as registries:
        app = put(sleepers("web"), registries.client(site.hub.host), "shop/web", "1")
    site.node.api.create(
        made("Pod", "web", pod_spec(f"{site.hub.host}/shop/web:1"), api_version="v1", namespace="plain")
    )
    pod = ("get", "pod", "web", "-n", "plain", "-o")
    site.node.wait(lambda: site.node.kubectl(*pod, "jsonpath={.status.phase}") == "Running", "the pod does not start")
    image = site.node.kubectl(*pod, "jsonpath={.status.containerStatuses[0].imageID}")
    assert image == f"{site.hub.host}/shop/web@{app.digest}"


def test_no_other_registry_can_be_reached(site: Site) -> None:
    site.node.api.create(made("Pod", "away", pod_spec("quay.io/org/app:1"), api_version="v1", namespace="default"))
    reason = ("get", "pod", "away", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
    site.node.wait(lambda: site.node.kubectl(*reason) in ("ErrImagePull", "ImagePullBackOff"), "the pull did not fail")
    site.node.kubectl("delete", "pod", "away", "--wait=false")
