"""Node configuration that sends pulls to the target without touching a manifest: containerd, CRI-O, k3s, RKE2, OpenShift.

It also says which authority nodes trust for the target, where that is not a public one. The runtimes rewrite a prefix of a name, so the
mapping is told as prefixes; the source itself is never asked.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from homeport.mapping import Mapping, component_of
from homeport.reference import DOCKER_HUB, Reference

Runtime = Literal["containerd", "cri-o", "k3s", "rke2", "openshift"]
RUNTIMES: Final[tuple[Runtime, ...]] = ("containerd", "cri-o", "k3s", "rke2", "openshift")
_CONTAINERD_HOST: Final = 'capabilities = ["pull", "resolve"]\noverride_path = true\n'
_CERTS: Final = "etc/containerd/certs.d"
_CA_FILE: Final = "homeport-ca.crt"
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


class Trust(msgspec.Struct, frozen=True):
    """The authority (PEM) of the target, and the hosts (host[:port]) that it is trusted for."""

    hosts: tuple[str, ...]
    ca: str


class NodeFiles(msgspec.Struct, frozen=True):
    """Files by their path on a node (or to apply to a cluster), what they cannot express, and what is to be done besides."""

    files: dict[str, str]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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


def node_files(
    prefixes: Iterable[Prefix], runtime: Runtime, *, plain_http: bool = False, trust: Trust | None = None
) -> NodeFiles:
    """Write one runtime's configuration. `plain_http` says how the target is reached, `trust` which authority it has."""
    ordered, scheme = sorted(prefixes), "http" if plain_http else "https"
    if not ordered and trust is None:
        return NodeFiles({})
    if runtime == "containerd":
        return _containerd(ordered, scheme, trust)
    if runtime == "cri-o":
        return _cri_o_files(ordered, trust, plain_http=plain_http)
    if runtime == "openshift":
        return _openshift(ordered, trust)
    return _rancher(ordered, scheme, runtime, trust)


def _containerd(prefixes: list[Prefix], scheme: str, trust: Trust | None) -> NodeFiles:
    """One hosts.toml for each registry (containerd docs/hosts.md), in force where the configuration names their folder."""
    whole, missing = _whole(prefixes, "containerd")
    hosts = trust.hosts if trust else ()
    files: dict[str, str] = {}
    for registry, url, more in (
        *((it.source, _mirror_url(it, scheme), _CONTAINERD_HOST) for it in whole),
        *((host, f"{scheme}://{host}", _CONTAINERD_HOST.partition("override")[0]) for host in hosts),
    ):
        known = trust is not None and url.partition("://")[2].partition("/")[0] in hosts
        # As `server` it stands in the place of the registry itself, which is then never asked; containerd 1.6 takes no file
        # without a host. The path follows /v2, so containerd must not add another one. A relative path starts at the file's folder.
        fields = more + (f'ca = "{_CA_FILE}"\n' if known else "")
        files[f"{_CERTS}/{registry}/hosts.toml"] = f'server = "{url}"\n{fields}\n[host."{url}"]\n{fields}'
        if known and trust:
            files[f"{_CERTS}/{registry}/{_CA_FILE}"] = trust.ca
    note = (
        f'containerd reads these files where its config.toml says config_path = "/{_CERTS}": in containerd 1 under '
        '[plugins."io.containerd.grpc.v1.cri".registry], in containerd 2 under [plugins."io.containerd.cri.v1.images".registry]'
    )
    return NodeFiles(files, missing, (note,))


def _cri_o_files(prefixes: list[Prefix], trust: Trust | None, *, plain_http: bool) -> NodeFiles:
    """One table for each prefix (containers-registries.conf(5)), one folder for each host (containers-certs.d(5))."""
    tables = {_CRI_O_FILE: "\n".join(_cri_o(it, plain_http=plain_http) for it in prefixes)} if prefixes else {}
    hosts = trust.hosts if trust else ()
    return NodeFiles(tables | {f"etc/containers/certs.d/{host}/{_CA_FILE}": trust.ca for host in hosts if trust})


def _cri_o(prefix: Prefix, *, plain_http: bool) -> str:
    insecure = "insecure = true\n" if plain_http else ""
    return f'[[registry]]\nprefix = "{prefix.source}"\nlocation = "{prefix.home}"\n{insecure}'


def _rancher(prefixes: list[Prefix], scheme: str, runtime: Literal["k3s", "rke2"], trust: Trust | None) -> NodeFiles:
    """Write registries.yaml (docs.k3s.io, installation/private-registry; RKE2 reads the same)."""
    folder = f"etc/rancher/{runtime}"
    whole, missing = _whole(prefixes, runtime)
    lines = ["mirrors:"] if whole else []
    for prefix in whole:
        host, _, path = prefix.home.partition("/")
        lines += [f'  "{prefix.source}":', "    endpoint:", f'      - "{scheme}://{host}"']
        lines += ["    rewrite:", f'      "^(.*)$": "{path}/$1"'] if path else []
    files: dict[str, str] = {}
    if trust:
        lines.append("configs:")
        for host in trust.hosts:
            lines += [f'  "{host}":', "    tls:", f"      ca_file: /{folder}/{_CA_FILE}"]
        files[f"{folder}/{_CA_FILE}"] = trust.ca
    note = (
        f"{runtime} asks a registry itself where a mirror has not got an image: start it with --disable-default-registry-endpoint; "
        "it reads registries.yaml when it starts"
    )
    return NodeFiles({f"{folder}/registries.yaml": "\n".join(lines) + "\n", **files}, missing, (note,))


def _whole(prefixes: list[Prefix], runtime: str) -> tuple[list[Prefix], tuple[str, ...]]:
    """Part whole registries from paths of them, which the runtime does not know."""
    missing = tuple(
        f"{runtime} knows registries, not paths of them: {it.source} would not go to {it.home}"
        for it in prefixes
        if "/" in it.source
    )
    return [it for it in prefixes if "/" not in it.source], missing


def _mirror_url(prefix: Prefix, scheme: str) -> str:
    host, _, path = prefix.home.partition("/")
    return f"{scheme}://{host}/v2/{path}".rstrip("/")


def _openshift(prefixes: list[Prefix], trust: Trust | None) -> NodeFiles:
    """One file of objects: the mirror sets, and whom nodes trust."""
    taken = [it for it in prefixes if _PLACE.fullmatch(it.source) and _PLACE.fullmatch(it.home)]
    missing = (
        f"OpenShift takes no such place: {it.source} would not go to {it.home}" for it in prefixes if it not in taken
    )
    documents = [*_mirror_sets(taken), *_trusted_in_openshift(trust)]
    return NodeFiles({_OPENSHIFT_FILE: "---\n".join(documents)} if documents else {}, tuple(missing))


def _trusted_in_openshift(trust: Trust | None) -> list[str]:
    """Write the ConfigMap that every node trusts; `..` stands before a port (config.openshift.io/v1, Image)."""
    if trust is None:
        return []
    pem = "".join(f"    {line}\n" for line in trust.ca.strip().splitlines())
    data = "".join(f"  {host.replace(':', '..')}: |\n{pem}" for host in trust.hosts)
    return [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: homeport-ca\n  namespace: openshift-config\ndata:\n{data}",
        (
            "apiVersion: config.openshift.io/v1\nkind: Image\nmetadata:\n  name: cluster\n"
            "spec:\n  additionalTrustedCA:\n    name: homeport-ca\n"
        ),
    ]


def _mirror_sets(prefixes: list[Prefix]) -> list[str]:
    """Both mirror sets: one serves pulls by digest, the other pulls by tag (config.openshift.io/v1)."""
    documents = []
    kinds = (("ImageDigestMirrorSet", "imageDigestMirrors"), ("ImageTagMirrorSet", "imageTagMirrors"))
    for kind, field in kinds if prefixes else ():
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
    return documents
