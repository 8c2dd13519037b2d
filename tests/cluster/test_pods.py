"""What a pod's status tells of its images."""

from homeport.cluster.pods import Use, uses_of

DIGEST = "sha256:" + "a" * 64


def test_containers_of_all_kinds_have_their_digest_beside_their_place():
    spec = {
        "initContainers": [{"name": "i", "image": "a:1", "imagePullPolicy": "Always"}],
        "containers": [{"name": "c", "image": "b:1"}],
        "ephemeralContainers": [{"name": "e", "image": "c:1"}],
    }
    status = {
        "initContainerStatuses": [{"name": "i", "imageID": f"docker-pullable://a@{DIGEST}"}],
        "containerStatuses": [{"name": "c", "imageID": ""}],
    }
    assert list(uses_of(spec, "spec", status)) == [
        Use("spec.initContainers[0].image", "Always", f"a@{DIGEST}"),
        Use("spec.containers[0].image"),
        Use("spec.ephemeralContainers[0].image"),
    ]


def test_an_image_volume_tells_its_digest_where_it_is_mounted():
    spec = {
        "containers": [{"name": "c", "image": "b:1"}],
        "volumes": [
            {"name": "plain", "emptyDir": {}},
            {"name": "model", "image": {"reference": "r.io/model:1", "pullPolicy": "IfNotPresent"}},
        ],
    }
    mount = {"name": "model", "mountPath": "/m", "volumeStatus": {"image": {"imageRef": f"r.io/model@{DIGEST}"}}}
    status = {"containerStatuses": [{"name": "c", "imageID": "x", "volumeMounts": [mount]}]}
    *_, volume = uses_of(spec, "spec", status)
    assert volume == Use("spec.volumes[1].image.reference", "IfNotPresent", f"r.io/model@{DIGEST}")
    *_, unknown = uses_of(spec, "spec", {})
    assert unknown.pulled == ""
