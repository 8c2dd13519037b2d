"""`homeport secret`: make pull secrets, and look after them in a live cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.cli.app import DONE
from homeport.cli.output import Form, render
from homeport.cli.registry_options import RegistryOptions
from homeport.cli.secret_live import LiveOptions, Wish, spread, take_away
from homeport.cluster.expiry import expiring, provider_config
from homeport.cluster.pull_secrets import check_for_kubelet, is_namespace, is_secret_name, make_pull_secret
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.registry.credentials import Credential, Credentials


def secret(
    name: str = "",
    /,
    *,
    registry: str = "",
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    username: str | None = None,
    password_stdin: Annotated[bool, Parameter(negative="")] = False,
    password: Annotated[str | None, Parameter(name=["--password", "-p"], show=False)] = None,
    output: Annotated[Form | None, Parameter(name=["--output", "-o"])] = None,
    live: LiveOptions = LiveOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Make the manifest of a pull secret, on stdout, from what `docker login` stored or a password on stdin.

    With --cluster it goes into a live cluster instead, into one namespace or all; what is there already is given the new credentials
    in place, which no running pod notices. A password that the registry does not accept is refused; where the registry is to change
    it, --overlap writes the new one beside the old one before, and the same command without it afterwards takes the old one away.

    Args:
        name: The name of the Secret.
        registry: What it is for, REGISTRY[/PATH]: nothing else is pulled with it.
        namespace: A namespace that needs it; may be repeated. Without one it goes where it is applied.
        username: The user, with --password-stdin; otherwise stored credentials are taken.
        password_stdin: Read the password from stdin.
        password: Refused, for whoever types it.
        output: yaml or json; table, json or yaml with --cluster.
        live: What is done in a cluster.
        registries: How registries are reached.
    """
    if password is not None:
        raise UsageError(
            "a password on the command line can be seen by every process of this machine",
            hint="Give it on stdin: --username USER --password-stdin < FILE",
        )
    _check(name, namespace, live)
    if live.detach or live.prune:
        if registry or username or password_stdin:
            raise UsageError("--detach and --prune take no registry and no password")
        return take_away(name, namespace, live, output or "table")
    if not name or not registry:
        raise UsageError(
            "a pull secret needs a name, and the registry that it is for",
            hint="homeport secret NAME --registry REGISTRY",
        )
    target = Target.parse(registry)
    if username is None and not password_stdin:
        credential = _stored(target, registries.authfile)
    else:
        credential = Credential(username or "", _password(username, asked=password_stdin))
    _warn_of_expiry(target.registry, credential)
    if live.cluster:
        wanted = Wish(name, target, credential, namespace)
        return spread(wanted, live, registries, output or "table")
    manifests = [make_pull_secret(name, each, target, credential) for each in dict.fromkeys(namespace or ("",))]
    print(_written(manifests, output or "yaml"))
    return DONE


def _check(name: str, namespaces: Sequence[str], live: LiveOptions) -> None:
    live.check_use(namespaces)
    if name and not is_secret_name(name):
        raise UsageError(
            f"{name!r} cannot be the name of a Secret", hint="Use lower-case letters, digits, hyphens and dots."
        )
    for namespace in namespaces:
        if not is_namespace(namespace):
            raise UsageError(f"{namespace!r} is not a namespace", hint="Use lower-case letters, digits and hyphens.")


def _password(username: str | None, *, asked: bool) -> str:
    if not username or not asked:
        raise UsageError(
            "--username and --password-stdin go together",
            hint="homeport secret NAME --registry REGISTRY --username USER --password-stdin < FILE",
        )
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not password:
        raise UsageError("no password stands on stdin", hint="Redirect a file: --password-stdin < FILE")
    return password


def _stored(target: Target, authfile: Path | None) -> Credential:
    if authfile and not authfile.is_file():
        raise UsageError(f"--authfile {authfile}: there is no such file")
    credentials = Credentials((authfile,)) if authfile else Credentials.from_environment()
    return check_for_kubelet(credentials.resolve(target.registry, target.path), target)


def _warn_of_expiry(registry: str, credential: Credential) -> None:
    cloud = expiring(registry, credential)
    if cloud is None:
        return
    hours = "1 hour" if cloud.hours == 1 else f"{cloud.hours} hours"
    print(
        f"warning: this password of {cloud.name} expires {hours} after it was handed out; pulls fail then.",
        file=sys.stderr,
    )
    print(
        f"  Let nodes fetch their own: install {cloud.provider}, and start the kubelet with\n"
        "  --image-credential-provider-bin-dir=FOLDER --image-credential-provider-config=FILE, this in the file:\n",
        file=sys.stderr,
    )
    print(render(provider_config(cloud, registry), "yaml", ""), file=sys.stderr)


def _written(manifests: list[dict[str, Any]], form: Form) -> str:
    if form == "table":
        raise UsageError("a manifest is yaml or json, not a table", hint="Add --cluster to put it into a cluster.")
    if form == "yaml":
        return "\n---\n".join(render(manifest, "yaml", "") for manifest in manifests)
    one = manifests[0] if len(manifests) == 1 else {"apiVersion": "v1", "kind": "List", "items": manifests}
    return render(one, "json", "")
