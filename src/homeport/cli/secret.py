"""`homeport secret`: make pull secrets."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from homeport.cli.app import DONE
from homeport.cli.output import render
from homeport.cluster.expiry import expiring, provider_config
from homeport.cluster.pull_secrets import check_for_kubelet, is_namespace, is_secret_name, make_pull_secret
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.registry.credentials import Credential, Credentials


def secret(
    name: str,
    /,
    *,
    registry: str,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    username: str | None = None,
    password_stdin: Annotated[bool, Parameter(negative="")] = False,
    password: Annotated[str | None, Parameter(name=["--password", "-p"], show=False)] = None,
    authfile: Path | None = None,
    output: Annotated[Literal["yaml", "json"], Parameter(name=["--output", "-o"])] = "yaml",
) -> int:
    """Make the manifest of a pull secret, on stdout, from what `docker login` stored or a password on stdin.

    Args:
        name: The name of the Secret.
        registry: What it is for, REGISTRY[/PATH]: nothing else is pulled with it.
        namespace: A namespace that needs it; may be repeated. Without one it goes where it is applied.
        username: The user, with --password-stdin; otherwise stored credentials are taken.
        password_stdin: Read the password from stdin.
        password: Refused, for whoever types it.
        authfile: Take stored credentials from this file alone (config.json of Docker, auth.json of podman).
        output: yaml or json.
    """
    if password is not None:
        raise UsageError(
            "a password on the command line can be seen by every process of this machine",
            hint="Give it on stdin: --username USER --password-stdin < FILE",
        )
    _check(name, namespace)
    target = Target.parse(registry)
    if username is None and not password_stdin:
        credential = _stored(target, authfile)
    else:
        credential = Credential(username or "", _password(username, asked=password_stdin))
    manifests = [make_pull_secret(name, each, target, credential) for each in dict.fromkeys(namespace or ("",))]
    _warn_of_expiry(target.registry, credential)
    print(_written(manifests, output))
    return DONE


def _check(name: str, namespaces: Sequence[str]) -> None:
    if not is_secret_name(name):
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


def _written(manifests: list[dict[str, Any]], form: Literal["yaml", "json"]) -> str:
    if form == "yaml":
        return "\n---\n".join(render(manifest, "yaml", "") for manifest in manifests)
    one = manifests[0] if len(manifests) == 1 else {"apiVersion": "v1", "kind": "List", "items": manifests}
    return render(one, "json", "")
