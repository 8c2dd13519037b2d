"""Checks of registries: what is still pulled from elsewhere."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from homeport.applications.redis_enterprise.checks.problem import PUBLIC, Context, Problem, Rule
from homeport.applications.redis_enterprise.effective import Situation, extra_containers, resolve
from homeport.applications.redis_enterprise.facts import Operator, last, read_image
from homeport.applications.redis_enterprise.fields import BOOTSTRAPPER, CALL_HOME, FIELDS, REDIS, RIGGER
from homeport.applications.redis_enterprise.releases import RED_HAT, release_images
from homeport.discovery.knowledge import ImageField
from homeport.discovery.tree import dig, is_list, text_of
from homeport.reference import DOCKER_HUB

ONE_CONTAINER: Final = Rule(
    "RE020", "error", "The operator's pod has two containers of one image: operator and admission."
)
ABSENT: Final = Rule(
    "RE021", "error", "Where a spec names no repository the operator takes its own default, from a public registry."
)
NO_CALL_HOME: Final = Rule(
    "RE022", "error", "From 7.22.0-7 on a CronJob runs a fourth image, the call-home client, unless it is disabled."
)
ELSEWHERE: Final = Rule("RE023", "error", "Where a private registry is in use, an image from a public one is a gap.")
EXTRA: Final = Rule(
    "RE024", "error", "Side and init containers are pulled like any other image, and no release lists them."
)
HUB_ON_OPENSHIFT: Final = Rule(
    "RE025", "error", "On OpenShift the certified images are Red Hat's, under other names than Docker Hub's."
)
MODULES: Final = Rule(
    "RE026",
    "warning",
    "Modules are downloaded by the nodes at bootstrap, upgrade, scale-out and recovery; no registry holds them.",
)

_OLM_FIX: Final = "OLM undoes every edit of it. Tell the nodes: homeport nodes --runtime openshift --to {} {}; then name that file here, too."
_HUB_NAMES: Final = frozenset({"redis", "operator", "k8s-controller", "re-call-home-client"})


def check_operator_images(context: Context) -> Iterator[Problem]:
    """Check that all containers of an operator's pod come from one place, and from the right one."""
    for operator in context.facts.operators:
        images = {text for _, _, text in operator.containers if read_image(text)}
        if len(images) > 1:
            yield _one_container(operator, context)
            continue
        for path, name, text in operator.containers:
            image = read_image(text)
            if image and context.strays(image.registry):
                if context.is_mirrored(image):
                    continue
                yield ELSEWHERE.broken(
                    operator.thing,
                    (*path, "image"),
                    f"{name} is pulled from {image.registry}, not from {context.home}",
                    _OLM_FIX.format(context.home, operator.thing.source)
                    if operator.olm
                    else f"homeport relocate --to {context.home} {operator.thing.source}",
                )
                break


def check_cluster_images(context: Context) -> Iterator[Problem]:
    """Check where each image of a cluster comes from."""
    expected = context.expected
    for situation in context.situations:
        cluster = situation.cluster
        for field in FIELDS.images:
            if field is CALL_HOME and not situation.runs_call_home:
                continue
            resolved = resolve(situation, field)
            image = read_image(resolved.repository)
            if image is None or not expected or image.registry == expected:
                continue
            if not resolved.named:
                certain = field is not CALL_HOME or situation.version
                rule = NO_CALL_HOME if field is CALL_HOME else ABSENT
                fix = f"Write {'.'.join(field.path[1:])}.repository{_beside_operator(context, situation, field)}."
                if rule is NO_CALL_HOME:
                    fix += " Or disable it: usageMeter.callHomeClient.disabled: true."
                if certain:
                    yield rule.broken(
                        cluster, field.path, f"the {field.role} is pulled as {resolved.image}, not from {expected}", fix
                    )
            elif context.strays(image.registry):
                yield ELSEWHERE.broken(
                    cluster,
                    (*field.path, field.repository),
                    f"the {field.role} is pulled from {image.registry}, not from {context.home}",
                    f"homeport relocate --to {context.home} {cluster.source}",
                )


def check_extra_containers(context: Context) -> Iterator[Problem]:
    """Check side and init containers."""
    for cluster in context.facts.clusters:
        for path, pod, name, text in extra_containers(cluster):
            image = read_image(text)
            if image and context.strays(image.registry):
                yield EXTRA.broken(
                    cluster,
                    path,
                    f"{name or 'a container'} of the {pod} is pulled as {image.pinned}, not from {context.home}",
                    f"homeport mirror --to {context.home} {image.pinned}, then homeport relocate --to {context.home}.",
                )


def check_openshift_names(context: Context) -> Iterator[Problem]:
    """Check that Docker Hub's names are not used on OpenShift."""
    if not context.openshift:
        return
    for situation in context.situations:
        for field in FIELDS.images:
            path = (*field.path, field.repository)
            image = read_image(text_of(dig(situation.cluster.root, path)))
            if image and image.registry == DOCKER_HUB and last(image.repository) in _HUB_NAMES:
                right = _red_hat(last(image.repository))
                yield HUB_ON_OPENSHIFT.broken(
                    situation.cluster, path, f"{image.name} is Docker Hub's name", f"Write {field.repository}: {right}."
                )


def check_modules(context: Context) -> Iterator[Problem]:
    """Name modules that are downloaded by URL."""
    for cluster in context.facts.clusters:
        modules = dig(cluster.root, ("spec", "userDefinedModules"))
        for index, module in enumerate(modules if is_list(modules) else ()):
            for scheme in ("http", "https"):
                path = ("spec", "userDefinedModules", index, "source", scheme, "url")
                url = text_of(dig(cluster.root, path))
                if url and (context.home or not context.expected) and _host(url) != _host(f"//{context.home}"):
                    yield MODULES.broken(
                        cluster,
                        path,
                        f"module {text_of(dig(module, ('name',)))} is downloaded from {_host(url) or url}",
                        "Serve it inside the air gap and name that URL.",
                    )


def _beside_operator(context: Context, situation: Situation, field: ImageField) -> str:
    """Return the name that an image has where the operator's is: ``: reg.io/mirror/redislabs/redis``; empty where that is not known."""
    images = [image for it in context.facts.operators for image in it.images if image.registry == context.expected]
    folders = {image.name.rpartition("/")[0] for image in images}
    if len(folders) != 1:
        return ""
    named = release_images(situation.version or "unknown", openshift=situation.openshift)
    images_by_field = {
        REDIS: named.redis,
        BOOTSTRAPPER: named.operator,
        RIGGER: named.rigger,
        CALL_HOME: named.call_home,
    }
    return f": {folders.pop()}/{last(images_by_field[field].repository)}"


def _one_container(operator: Operator, context: Context) -> Problem:
    wanted = context.home or next(iter(sorted({image.registry for image in operator.images} - PUBLIC)), "")
    wrong = [(path, name, text) for path, name, text in operator.containers if not _is_at(text, wanted)]
    right = next((text for _, _, text in operator.containers if _is_at(text, wanted)), "")
    path, name, text = (wrong or operator.containers)[0]
    other = right or operator.containers[-1][2]
    return ONE_CONTAINER.broken(
        operator.thing, (*path, "image"), f"{name} has {text}, another container has {other}", f"Write image: {other}"
    )


def _is_at(text: str, registry: str) -> bool:
    image = read_image(text)
    return image is not None and image.registry == registry


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _red_hat(name: str) -> str:
    names = {
        "redis": "redis-enterprise",
        "operator": "redis-enterprise-operator",
        "k8s-controller": "services-manager",
        "re-call-home-client": "call-home-client",
    }
    return f"{RED_HAT}/redislabs/{names[name]}"
