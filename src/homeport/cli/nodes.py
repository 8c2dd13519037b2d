"""`homeport nodes`: configuration for nodes that sends pulls to a registry."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.rule_options import RuleOptions
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.discovery.findings import Scan
from homeport.discovery.inputs import MAX_SIZE
from homeport.discovery.scan import scan_source
from homeport.errors import InputError, UsageError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB
from homeport.relocation.nodes import RUNTIMES, Trust, node_files, prefixes_of
from homeport.relocation.write import write_whole


def nodes(
    *sources: SourceName,
    to: str,
    runtime: Literal["all", "containerd", "cri-o", "k3s", "rke2", "openshift"] = "all",
    output_dir: Path | None = None,
    ca_file: Path | None = None,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    default_registry: str = DOCKER_HUB,
    max_size: int = MAX_SIZE,
    finding: RuleOptions = RuleOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    packaging: PackagingOptions = PackagingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Write what nodes need to pull from your registry: its authority, and mirrors for the registries that manifests name.

    With manifests, all pulls from their registries are sent to your own, and the manifests stay as they are. With --ca-file, nodes
    trust your registry's authority; manifests are not needed then. The files go to stdout, each below a line with its path. Nodes need credentials of their own for the registry: pull secrets are
    chosen by the name in the manifest, which is still the source's.

    Args:
        sources: Manifests: files, folders (*.yaml, *.yml, *.json in them and below), or - for stdin.
        to: The target, REGISTRY[/PATH].
        runtime: containerd (1 and 2: hosts.toml), cri-o (registries.conf, certs.d), k3s or rke2 (registries.yaml), openshift
            (ImageDigestMirrorSet, ImageTagMirrorSet, additionalTrustedCA), or all.
        output_dir: Write the files to this folder instead.
        ca_file: The authority (PEM) that the target's certificate is of, where it is not a public one.
        plain_http: The target speaks plain HTTP.
        default_registry: Where names without a registry come from.
        max_size: The largest file to read, in bytes.
        finding: How images are found.
        packaging: How charts are rendered.
        names: What images are called at the target.
    """
    check_registry(default_registry)
    if not sources and ca_file is None:
        raise UsageError(
            "nothing is named whose registries could be sent elsewhere",
            hint="Name files or folders, or the authority that nodes are to trust: --ca-file FILE.",
        )
    mapping = names.mapping(to)
    trust = _trust(mapping, ca_file)
    read, errors = read_sources(sources, max_size, packaging)
    taught, unread = finding.taught(read, max_size)
    errors += unread
    first = Scan.joined(scan_source(source, KNOWLEDGE + taught, default_registry) for source in read)
    rules = learn_all(first.findings).knowledge + taught
    scan = Scan.joined(scan_source(source, rules, default_registry) for source in read)
    prefixes = prefixes_of(mapping, [each.reference for each in scan.findings])
    chosen = RUNTIMES if runtime == "all" else (runtime,)
    results = [node_files(prefixes, each, plain_http=plain_http, trust=trust) for each in chosen]
    failures = [InputError(missing, file=to) for result in results for missing in result.missing]
    for path, text in ((path, text) for result in results for path, text in result.files.items()):
        if output_dir is None:
            print(f"# /{path}\n{text}" if path.startswith("etc/") else f"# {path}\n{text}")
        else:
            write_whole(output_dir / path, text.encode())
            print(f"wrote {output_dir / path}", file=sys.stderr)
    for note in (note for result in results for note in result.notes):
        print(f"note: {note}", file=sys.stderr)
    for failure in (*errors, *failures):
        complain(failure)
    for error in scan.errors:
        print(f"error: {error}", file=sys.stderr)
    if not prefixes and (errors or scan.errors):
        return NOT_STARTED
    return WRONG if errors or failures or scan.errors else DONE


def _trust(mapping: Mapping, ca_file: Path | None) -> Trust | None:
    """Read the authority of the target, for all hosts that are one's own; raises UsageError."""
    if ca_file is None:
        return None
    try:
        text = ca_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ca-file {ca_file} cannot be read: {error}") from None
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise UsageError(
            f"--ca-file {ca_file} is not a certificate (PEM), or holds a private key",
            hint="Nodes are to have the authority's certificate alone.",
        )
    hosts = {mapping.target.registry, *(it.home.registry for it in mapping.redirects)}
    return Trust(tuple(sorted(hosts)), text)
