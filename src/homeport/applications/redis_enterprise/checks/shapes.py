"""Checks of how fields are written."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeport.applications.redis_enterprise.chart import is_values
from homeport.applications.redis_enterprise.checks.problem import Context, Problem, Rule
from homeport.applications.redis_enterprise.facts import Steps, Thing, read_image
from homeport.applications.redis_enterprise.fields import FIELDS
from homeport.discovery.knowledge import ImageField
from homeport.discovery.tree import dig, is_list, is_map, is_true, text_of
from homeport.oci.digest import is_digest
from homeport.reference import is_tag

TAG_INSIDE: Final = Rule(
    "RE010", "error", "repository is joined with versionTag; a tag or digest inside makes no name."
)
WHOLE_NAME: Final = Rule("RE011", "error", "versionTag is a tag alone; the name belongs into repository.")
WRONG_CASE: Final = Rule(
    "RE012", "error", "Keys are case-sensitive; the API server drops one that the CRD does not know."
)
UNKNOWN_KEY: Final = Rule(
    "RE013", "error", "An image spec has four keys; the API server drops any other without a word."
)
WRONG_SECRETS: Final = Rule("RE014", "error", "A RedisEnterpriseCluster has pullSecrets; a pod has imagePullSecrets.")
SECRET_FORM: Final = Rule("RE015", "error", "Pull secrets are a list of {name: NAME}; in the chart's values, of names.")
UNKNOWN_FIELD: Final = Rule(
    "RE016", "warning", "The API server drops what the CRD of its release does not know, without a word."
)
AUTO_UPGRADE: Final = Rule(
    "RE040",
    "error",
    "With autoUpgradeRedisEnterprise the operator refuses any digestHash: the state becomes InvalidUpgrade.",
)
OUTSIDE_OLM: Final = Rule("RE041", "error", "digestHash is supported for OLM deployments only (text of the CRD).")
NO_TAG: Final = Rule("RE042", "error", "With digestHash, versionTag must say the tag of that digest (text of the CRD).")
NO_DIGEST: Final = Rule("RE045", "error", "A digest is sha256: and 64 hexadecimal digits.")

SPEC_KEYS: Final = frozenset(
    [
        "activeActive",
        "antiAffinityAdditionalTopologyKeys",
        "auditing",
        "backup",
        "bootstrapperImageSpec",
        "bootstrapperResources",
        "certificates",
        "clusterCredentialSecretName",
        "clusterCredentialSecretRole",
        "clusterCredentialSecretType",
        "clusterRecovery",
        "containerTimezone",
        "createServiceAccount",
        "dataInternodeEncryption",
        "encryptPkeys",
        "enforceIPv4",
        "extraEnvVars",
        "extraLabels",
        "hostAliases",
        "ingressOrRouteSpec",
        "ldap",
        "license",
        "licenseSecretName",
        "nodeSelector",
        "nodes",
        "ocspConfiguration",
        "ossClusterSettings",
        "persistentSpec",
        "podAnnotations",
        "podAntiAffinity",
        "podSecurityPolicyName",
        "podStartingPolicy",
        "podTolerations",
        "priorityClassName",
        "pullSecrets",
        "rackAwarenessNodeLabel",
        "redisEnterpriseAdditionalPodSpecAttributes",
        "redisEnterpriseIPFamily",
        "redisEnterpriseImageSpec",
        "redisEnterpriseNodeResources",
        "redisEnterprisePodAnnotations",
        "redisEnterpriseServicesConfiguration",
        "redisEnterpriseServicesRiggerImageSpec",
        "redisEnterpriseServicesRiggerResources",
        "redisEnterpriseTerminationGracePeriodSeconds",
        "redisEnterpriseVolumeMounts",
        "redisOnFlashSpec",
        "redisUpgradePolicy",
        "resp3Default",
        "securityContext",
        "serviceAccountName",
        "serviceBrokerSpec",
        "services",
        "servicesRiggerSpec",
        "sideContainersSpec",
        "slaveHA",
        "sso",
        "uiAnnotations",
        "uiServiceType",
        "upgradeSpec",
        "usageMeter",
        "usageReportFields",
        "userDefinedModules",
        "username",
        "vaultCASecret",
        "volumes",
    ]
)
"""The keys of a REC's spec in the CRDs of 7.2.4-7 and 8.0.20-23, v1 and v1alpha1."""

IMAGE_KEYS: Final = frozenset({"repository", "versionTag", "digestHash", "imagePullPolicy"})
_MOVED: Final = {
    # The documentation's text says spec.autoUpgradeRedisEnterprise; the CRD has it in upgradeSpec.
    "autoUpgradeRedisEnterprise": "upgradeSpec.autoUpgradeRedisEnterprise",
    "image": "repository and versionTag",
    "tag": "versionTag",
    "digest": "digestHash",
    "pullPolicy": "imagePullPolicy",
}


def check_image_specs(context: Context) -> Iterator[Problem]:
    """Check repository and tag of each image spec."""
    for cluster in context.facts.clusters:
        for field in FIELDS.images:
            spec = dig(cluster.root, field.path)
            if is_map(spec):
                yield from _spec(cluster, field, spec)


def check_keys(context: Context) -> Iterator[Problem]:
    """Check the keys of clusters against those of the CRD."""
    for cluster in context.facts.clusters:
        spec = dig(cluster.root, ("spec",))
        for key in spec if is_map(spec) else ():
            if key not in SPEC_KEYS and key != "imagePullSecrets":
                yield _unknown(cluster, ("spec", key), SPEC_KEYS, UNKNOWN_FIELD)
        for field in FIELDS.images:
            image = dig(cluster.root, field.path)
            for key in image if is_map(image) else ():
                if key not in IMAGE_KEYS:
                    yield _unknown(cluster, (*field.path, key), IMAGE_KEYS, UNKNOWN_KEY)


def check_secret_fields(context: Context) -> Iterator[Problem]:
    """Check that pull secrets stand in the right field and have the right form."""
    for cluster in context.facts.clusters:
        if dig(cluster.root, ("spec", "imagePullSecrets")) is not None:
            yield WRONG_SECRETS.broken(
                cluster, ("spec", "imagePullSecrets"), "a cluster has no imagePullSecrets", "Call it pullSecrets."
            )
        yield from _form(cluster, ("spec", "pullSecrets"))
    for operator in context.facts.operators:
        if dig(operator.thing.root, (*operator.pod, "pullSecrets")) is not None:
            path = (*operator.pod, "pullSecrets")
            yield WRONG_SECRETS.broken(operator.thing, path, "a pod has no pullSecrets", "Call it imagePullSecrets.")
        if not operator.thing.at:
            yield from _form(operator.thing, (*operator.pod, "imagePullSecrets"))
    for thing in context.facts.things:
        names = dig(thing.root, ("imagePullSecrets",))
        if is_values(thing.key, thing.root):
            for index, name in enumerate(names if is_list(names) else ()):
                if is_map(name):
                    yield SECRET_FORM.broken(
                        thing,
                        ("imagePullSecrets", index),
                        "the chart takes names here, and this is a mapping",
                        f"Write - {text_of(name.get('name')) or 'NAME'}.",
                    )


def check_digests(context: Context) -> Iterator[Problem]:
    """Check where digests may stand."""
    for situation in context.situations:
        cluster = situation.cluster
        upgrade = is_true(dig(cluster.root, ("spec", "upgradeSpec", "autoUpgradeRedisEnterprise")))
        for field in FIELDS.images:
            path = (*field.path, field.digest)
            if not (digest := text_of(dig(cluster.root, path))):
                continue
            if not is_digest(digest):
                yield NO_DIGEST.broken(cluster, path, f"{digest[:80]!r} is no digest", "Copy it from the OLM bundle.")
            if upgrade:
                yield AUTO_UPGRADE.broken(
                    cluster, path, "a digest stands beside autoUpgradeRedisEnterprise: true", "Remove one of the two."
                )
            if context.facts.operators and not situation.olm:
                yield OUTSIDE_OLM.broken(
                    cluster, path, "the operator was not installed by OLM", f"Remove it; {field.tag} names the image."
                )
            if not text_of(dig(cluster.root, (*field.path, field.tag))):
                yield NO_TAG.broken(cluster, path, f"{field.digest} without {field.tag}", f"Add {field.tag}.")


def _spec(cluster: Thing, field: ImageField, spec: Mapping[str, Any]) -> Iterator[Problem]:
    repository, tag = text_of(spec.get(field.repository)), text_of(spec.get(field.tag))
    named = read_image(repository)
    if named and (named.tag or named.digest):
        inside = repository.removesuffix(f"@{named.digest}").removesuffix(f":{named.tag}")
        yield TAG_INSIDE.broken(
            cluster,
            (*field.path, field.repository),
            f"{repository} holds a {'digest' if named.digest else 'tag'}",
            f"Write {field.repository}: {inside}" + (f" and {field.tag}: {named.tag}." if named.tag else "."),
        )
    if tag and not is_tag(tag):
        whole = read_image(tag)
        yield WHOLE_NAME.broken(
            cluster,
            (*field.path, field.tag),
            f"{tag[:120]!r} is not a tag",
            f"Write {field.tag}: {whole.tag}." if whole and whole.tag else "Write the tag alone.",
        )


def _unknown(thing: Thing, path: Steps, known: frozenset[str], rule: Rule) -> Problem:
    key = str(path[-1])
    right = next((name for name in known if name.lower() == key.lower()), "")
    if right:
        return WRONG_CASE.broken(thing, path, f"{key} is not {right}", f"Write {right}.")
    near = _MOVED.get(key) or next(iter(difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.7)), "")
    fix = f"Did you mean {near}?" if near else "Remove it, or look it up in the CRD of your release."
    return rule.broken(thing, path, f"{key} is no known key of {path[-2]}", fix)


def _form(thing: Thing, path: Steps) -> Iterator[Problem]:
    value = dig(thing.root, path)
    items = list(value) if is_list(value) else []
    if value is not None and not is_list(value) and text_of(value):
        yield SECRET_FORM.broken(thing, path, "a list is expected", f"Write - name: {text_of(value)}.")
    for index, item in enumerate(items):
        if not is_map(item):
            yield SECRET_FORM.broken(
                thing, (*path, index), f"{text_of(item)!r} is a text", f"Write - name: {text_of(item)}."
            )
