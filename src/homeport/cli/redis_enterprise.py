"""`homeport redis-enterprise`: what belongs to which release of Redis Enterprise for Kubernetes."""

import sys
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from homeport.applications.redis_enterprise.explain import Explanation, explain_name
from homeport.applications.redis_enterprise.learned import learned_file, read_learned, write_learned
from homeport.applications.redis_enterprise.learning import learn_files
from homeport.applications.redis_enterprise.model import Build, Release
from homeport.applications.redis_enterprise.releases import doubts, forget_learned, images_of, known, releases, sources
from homeport.cli.app import DONE
from homeport.cli.output import Form, columns, count, render
from homeport.cli.sources import SourceName, read_sources
from homeport.discovery.inputs import MAX_SIZE

redis_enterprise = App(name="redis-enterprise", help_format="plaintext", help_formatter="plain")
for _place, _help in {
    "redis_enterprise_check:check": "Look for the known mistakes of a deployment, each with its reason and its fix.",
    "redis_enterprise_check:effective": "Show which image each pod will really pull, and by which rule.",
    "redis_enterprise_act:manifests": "Write the manifests of a release at a private registry.",
    "redis_enterprise_act:upgrade": "Plan the way from one release to another.",
}.items():
    redis_enterprise.command(f"homeport.cli.{_place}", name=_place.partition(":")[2], help=_help)


class _Images(msgspec.Struct, frozen=True):
    operator: str
    images: list[str]


@redis_enterprise.command
def images(
    operator: str,
    /,
    *,
    redis: str | None = None,
    openshift: Annotated[bool, Parameter(negative="")] = False,
    minimal: Annotated[bool, Parameter(negative="")] = False,
    no_call_home: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Literal["names", "json", "yaml"], Parameter(name=["--output", "-o"])] = "names",
) -> int:
    """List every image that a release pulls, ready for `homeport mirror`.

    Args:
        operator: The operator's tag, for example 7.2.4-7.
        redis: The tag of Redis Enterprise itself; else the first one published for the operator.
        openshift: The names of Red Hat's registry.
        minimal: The small base image of Redis (from operator 8.0.18-11 on).
        no_call_home: Without the call-home client, where the cluster disables it.
        output: names (one a line), json or yaml.
    """
    found = images_of(operator, redis, openshift=openshift, minimal=minimal, call_home=not no_call_home)
    warn(doubts(operator, redis))
    names = sorted(map(str, found))
    if output == "names":
        print("\n".join(names))
    else:
        print(render(_Images(operator, names), output, ""))
    return DONE


@redis_enterprise.command(name="releases")
def list_releases(
    *files: SourceName,
    update: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """List the known releases, newest operator first; with --update, learn one from its own files.

    Args:
        files: With --update: the files of one release (bundle.yaml or a ClusterServiceVersion, and a REC that names its Redis tag).
        update: Learn the release, and keep it beside the published ones in a file of your own.
        output: table, json or yaml.
    """
    if update or files:
        return _learn(files, asked=update)
    print(render(releases(), output, "\n".join(_table(releases()))))
    return DONE


@redis_enterprise.command
def explain(name: str, /, *, output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table") -> int:
    """Say what a tag or digest is, and which releases it belongs to.

    Args:
        name: A Redis tag, an operator's tag, an OLM bundle's name, or a digest that a bundle pins.
        output: table, json or yaml.
    """
    found = explain_name(name)
    print(render(found, output, "\n".join(_explained(found))))
    return DONE


def warn(sentences: list[str]) -> None:
    """Print what is not certain, on stderr."""
    for sentence in sentences:
        print(f"warning: {sentence}", file=sys.stderr)


def _learn(files: tuple[str, ...], *, asked: bool) -> int:
    from homeport.errors import UsageError

    if not (asked and files):
        raise UsageError(
            "files are given without --update" if files else "--update needs the files of a release",
            hint="homeport redis-enterprise releases --update bundle.yaml rec.yaml",
        )
    read, errors = read_sources(files, MAX_SIZE)
    if errors:
        raise UsageError(str(errors[0]), hint=errors[0].hint)
    taught = learn_files(read)
    if known() + taught == known():
        print("nothing new: this is known already")
        return DONE
    kept = write_learned(read_learned() + taught)
    forget_learned()
    for release in taught.releases:
        builds = ", ".join(build.tag for build in release.redis) or "not named in these files"
        print(f"learned operator {release.operator}; Redis: {builds}")
    for bundle in taught.bundles:
        print(f"learned OLM bundle {bundle.name} with {count(len(bundle.digests), 'digest')}")
    print(f"kept in {kept}")
    return DONE


def _table(listed: tuple[Release, ...]) -> Iterator[str]:
    rows = [
        (
            release.operator if index == 0 else "",
            build.tag,
            build.date or "-",
            build.openshift or "-",
            "yes" if build.minimal else "-",
            "yes" if release.call_home else "-",
            build.olm or "-",
        )
        for release in listed
        for index, build in enumerate(release.redis or (Build("unknown"),))
    ]
    heads = ("OPERATOR", "REDIS", "PUBLISHED", "REDIS AT RED HAT", "MINIMAL", "CALL-HOME", "OLM BUNDLE")
    yield from columns([heads, *rows])
    taught = len(read_learned().releases)
    yield ""
    yield f"{count(len(listed), 'operator')}, {len(rows)} Redis builds" + (
        f"; {taught} learned, from {learned_file()}" if taught else ""
    )


def _explained(found: Explanation) -> Iterator[str]:
    yield f"{found.name} is {found.what}"
    yield from columns([(f"  {label}", value) for label, value in found.facts])
    where = sources()
    for source in found.sources:
        head, _, rest = source.partition("/")
        yield f"  source: {rest or head} ({where.get(head, head)})"
