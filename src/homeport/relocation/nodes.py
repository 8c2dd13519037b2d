"""Node configuration that sends pulls to the target without touching a manifest: containerd, CRI-O, OpenShift.

The runtimes rewrite a prefix of a name, so the mapping is told as prefixes; the source itself is never asked.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from homeport.mapping import Mapping, component_of
from homeport.reference import DOCKER_HUB, Reference

Runtime = Literal["containerd", "cri-o", "openshift"]
RUNTIMES: Final[tuple[Runtime, ...]] = ("containerd", "cri-o", "openshift")
_CONTAINERD_HOST: Final = 'capabilities = ["pull", "resolve"]\noverride_path = true\n'
_CRI_O_FILE: Final = "etc/containers/registries.conf.d/50-homeport.conf"
_OPENSHIFT_FILE: Final = "openshift/homeport-mirrors.yaml"
_PLACE: Final = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*)*"
)
"""What a mirror set takes as a source or a mirror (github.com/openshift/api config/v1/types_image_digest_mirror_set.go)."""


class Prefix(msgspec.Struct, frozen=True, order=True):
    """Names that begin with `source` begin with `home` at the target; both are whole parts of names."""

    source: str
    home: str


class NodeFiles(msgspec.Struct, frozen=True):
    """Files by their path on a node (or to apply to a cluster), and what they cannot express."""

    files: dict[str, str]
    missing: tuple[str, ...] = ()


def prefixes_of(mapping: Mapping, references: Iterable[Reference]) -> list[Prefix]:
    """Tell the mapping of all source registries as prefixes of names; the longest that matches a name counts."""
    moved = [it for it in references if not mapping.holds(it)]
    found: dict[str, str] = {}
    for registry in sorted({it.registry for it in moved}):
        kept = component_of(registry) if mapping.keep_registry else ""
        found[registry] = "/".join(filter(None, (str(mapping.target), kept)))
    for redirect in mapping.redirects:
        if redirect.source.registry in found:
            found[str(redirect.source)] = str(redirect.home)
    for name in {it.name for it in moved if it.registry == DOCKER_HUB and it.repository.startswith("library/")}:
        short = name.replace("/library/", "/", 1)
        if short in found:
            found[name] = found[short]
    return [Prefix(source, home) for source, home in sorted(found.items())]


def node_files(prefixes: Iterable[Prefix], runtime: Runtime, *, plain_http: bool = False) -> NodeFiles:
    """Write one runtime's configuration. `plain_http` says how the target is reached."""
    ordered = sorted(prefixes)
    if runtime == "containerd":
        return _containerd(ordered, "http" if plain_http else "https")
    if runtime == "cri-o":
        return NodeFiles(
            {_CRI_O_FILE: "\n".join(_cri_o(it, plain_http=plain_http) for it in ordered)} if ordered else {}
        )
    taken = [it for it in ordered if _PLACE.fullmatch(it.source) and _PLACE.fullmatch(it.home)]
    missing = (
        f"OpenShift takes no such place: {it.source} would not go to {it.home}" for it in ordered if it not in taken
    )
    return NodeFiles({_OPENSHIFT_FILE: _openshift(taken)} if taken else {}, tuple(missing))


def _containerd(prefixes: list[Prefix], scheme: str) -> NodeFiles:
    """One hosts.toml for each registry (containerd docs/hosts.md): there is none for a path of it."""
    files: dict[str, str] = {}
    missing: list[str] = []
    for prefix in prefixes:
        registry, slash, _ = prefix.source.partition("/")
        if slash:
            missing.append(
                f"containerd knows registries, not paths of them: {prefix.source} would not go to {prefix.home}"
            )
            continue
        host, _, path = prefix.home.partition("/")
        url = f"{scheme}://{host}/v2/{path}".rstrip("/")
        # As `server` it stands in the place of the registry itself, which is then never asked; containerd 1.6 takes no file
        # without a host. The path follows /v2, so containerd must not add another one.
        files[f"etc/containerd/certs.d/{registry}/hosts.toml"] = (
            f'server = "{url}"\n{_CONTAINERD_HOST}\n[host."{url}"]\n{_CONTAINERD_HOST}'
        )
    return NodeFiles(files, tuple(missing))


def _cri_o(prefix: Prefix, *, plain_http: bool) -> str:
    """One table for each prefix (containers-registries.conf(5)): the location replaces it."""
    insecure = "insecure = true\n" if plain_http else ""
    return f'[[registry]]\nprefix = "{prefix.source}"\nlocation = "{prefix.home}"\n{insecure}'


def _openshift(prefixes: list[Prefix]) -> str:
    """Both mirror sets: one serves pulls by digest, the other pulls by tag (config.openshift.io/v1)."""
    documents = []
    for kind, field in (("ImageDigestMirrorSet", "imageDigestMirrors"), ("ImageTagMirrorSet", "imageTagMirrors")):
        lines = [
            "apiVersion: config.openshift.io/v1",
            f"kind: {kind}",
            "metadata:",
            "  name: homeport",
            "spec:",
            f"  {field}:",
        ]
        for prefix in prefixes:
            lines += [
                f"  - source: {prefix.source}",
                "    mirrors:",
                f"    - {prefix.home}",
                "    mirrorSourcePolicy: NeverContactSource",
            ]
        documents.append("\n".join(lines) + "\n")
    return "---\n".join(documents)
