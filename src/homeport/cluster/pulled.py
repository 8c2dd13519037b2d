"""The kubelet's own word on where an image came from: its Pulled events.

The name in an event is the one that the kubelet asked its runtime for. API servers keep events for an hour (kube-apiserver,
--event-ttl), and a runtime may send a name on to a mirror, which only its own configuration tells.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, Choice
from homeport.cluster.kinds import EVENTS
from homeport.errors import ClusterError

_PULLED: Final = re.compile(r'Successfully pulled image "([^"]+)"')
_PRESENT: Final = re.compile(r'Container image "([^"]+)" already present on machine')
"""As the kubelet writes them (pkg/kubelet/images/image_manager.go)."""

Key = tuple[str, str]
"""A pod's uid, and a container's place in it: spec.containers{main}."""


class Pulled(msgspec.Struct, frozen=True):
    """The kubelet pulled an image under this name, or found it on its node; `at` is when it last said so."""

    image: str
    pulled: bool
    at: str = ""


def read_pulled(api: Api, namespaces: Sequence[str]) -> tuple[dict[Key, Pulled], tuple[str, ...]]:
    """Read what is still known; without the right to it nothing, and a sentence that says so. Raises ClusterError."""
    found: dict[Key, Pulled] = {}
    for namespace in namespaces or (None,):
        try:
            for event in api.objects(EVENTS, namespace, Choice(fields="reason=Pulled")):
                for key, pulled in _read(event):
                    before = found.get(key)
                    # A restart finds on the node what the first start pulled: the pull is the better evidence.
                    if before is None or (pulled.pulled, pulled.at) > (before.pulled, before.at):
                        found[key] = pulled
        except ClusterError as error:
            if error.status != 403:
                raise
            return found, (f"{error}: from where nodes pulled is not known",)
    return found, ()


def _read(event: Mapping[str, Any]) -> Iterator[tuple[Key, Pulled]]:
    about, message = event.get("involvedObject") or {}, event.get("message") or ""
    at = event.get("lastTimestamp") or event.get("eventTime") or ""
    for pattern, pulled in ((_PULLED, True), (_PRESENT, False)):
        if match := pattern.match(message):
            yield (about.get("uid", ""), about.get("fieldPath", "")), Pulled(match[1], pulled, at)
