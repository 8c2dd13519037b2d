"""Which cluster is meant: kubeconfig files and their contexts, or the service account of the pod that asks.

Files are found and merged as kubectl does it (client-go, tools/clientcmd/loader.go): of two entries with one name the first counts,
a file that is missing is passed over, and relative paths start at the file that holds them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.config.models import Cluster, Context, User, UserExec
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from homeport.cluster.exec_plugin import run_plugin
from homeport.errors import ConfigError, UsageError

_DEFAULT: Final = "~/.kube/config"
_PATHS: Final = ("certificate_auth", "client_cert", "client_key", "token_file")


class KubeCluster(Cluster):
    """What a kubeconfig says of a cluster, with the fields that lightkube leaves out."""

    proxy_url: str | None = msgspec.field(name="proxy-url", default=None)
    tls_server_name: str | None = msgspec.field(name="tls-server-name", default=None)


class KubeExec(UserExec):
    """A credential plugin."""

    provide_cluster_info: bool = msgspec.field(name="provideClusterInfo", default=False)


class KubeUser(User):
    """What a kubeconfig says of a user, with the fields that lightkube leaves out."""

    exec: KubeExec | None = None
    impersonated: str | None = msgspec.field(name="as", default=None)
    impersonated_groups: list[str] | None = msgspec.field(name="as-groups", default=None)


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: KubeCluster


class _NamedContext(msgspec.Struct):
    name: str
    context: Context


class _NamedUser(msgspec.Struct):
    name: str
    user: KubeUser | None = None


class _File(msgspec.Struct):
    current_context: str | None = msgspec.field(name="current-context", default=None)
    clusters: list[_NamedCluster] | None = None
    contexts: list[_NamedContext] | None = None
    users: list[_NamedUser] | None = None


class _Merged(msgspec.Struct):
    files: list[Path]
    current: str = ""
    clusters: dict[str, KubeCluster] = {}
    contexts: dict[str, Context] = {}
    users: dict[str, KubeUser] = {}


def load_config(context: str | None = None, environment: Mapping[str, str] = os.environ) -> SingleConfig:
    """Return how the API server of a context is reached, of the current one by default; raises UsageError.

    Without a kubeconfig it is the cluster that this process runs in. A credential plugin is run.
    """
    merged = _merge(environment)
    if merged is None:
        if context is None and "KUBERNETES_SERVICE_HOST" in environment:
            return _in_cluster()
        raise UsageError(
            "there is no kubeconfig",
            hint=f"Name one in the variable KUBECONFIG, or put it at {_DEFAULT}; `kubectl config view` shows what it holds.",
        )
    return _choose(merged, context or merged.current)


def context_names(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the contexts of all kubeconfig files; raises ConfigError."""
    merged = _merge(environment)
    return tuple(sorted(merged.contexts)) if merged else ()


def _in_cluster() -> SingleConfig:
    try:
        config = KubeConfig.from_service_account(SERVICE_ACCOUNT).get()
    except (LightkubeConfigError, KeyError, OSError) as error:
        raise UsageError(f"this pod's service account cannot be read: {error}") from None
    if config is None:
        raise UsageError("this pod's service account cannot be read")
    return config


def _merge(environment: Mapping[str, str]) -> _Merged | None:
    """Read all kubeconfig files into one; None where there is none."""
    listed = [part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part] or [_DEFAULT]
    merged = _Merged([path for path in (Path(part).expanduser() for part in listed) if path.exists()])
    for path in reversed(merged.files):
        file = _read(path)
        merged.current = file.current_context or merged.current
        merged.clusters |= {entry.name: _absolute(entry.cluster, path) for entry in file.clusters or ()}
        merged.contexts |= {entry.name: entry.context for entry in file.contexts or ()}
        merged.users |= {entry.name: _absolute(entry.user or KubeUser(), path) for entry in file.users or ()}
    return merged if merged.files else None


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(yaml.safe_load(path.read_bytes()) or {}, _File)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"is not YAML: {error.problem}", file=str(path), line=line) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError("is not YAML", file=str(path)) from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"is not a kubeconfig: {error}", file=str(path)) from None


def _absolute(entry: Any, file: Path) -> Any:
    """Return a cluster or a user with its paths read from the folder of its file."""
    written = {name: value for name in _PATHS if (value := getattr(entry, name, None))}
    return msgspec.structs.replace(entry, **{name: str(file.parent / value) for name, value in written.items()})


def _choose(merged: _Merged, name: str) -> SingleConfig:
    files = ", ".join(map(str, merged.files))
    known = ", ".join(sorted(merged.contexts)) or "none"
    if not name:
        raise UsageError(f"no context is current in {files}", hint=f"Choose one with --context: {known}.")
    context = merged.contexts.get(name)
    if context is None:
        raise UsageError(f"there is no context {name!r} in {files}", hint=f"There are: {known}.")
    cluster = merged.clusters.get(context.cluster)
    user = merged.users.get(context.user) if context.user else KubeUser()
    if cluster is None or user is None:
        missing = f"user {context.user!r}" if cluster else f"cluster {context.cluster!r}"
        raise UsageError(f"context {name!r} names the {missing}, which is not in {files}")
    if user.auth_provider:
        raise UsageError(
            f"user {context.user!r} logs in by an auth-provider, which Kubernetes removed in 1.26",
            hint="Let your cloud's tool write the kubeconfig again; it then names a credential plugin (exec).",
        )
    if user.exec and not (user.token or user.token_file):
        user = run_plugin(user.exec, cluster, user)
    return SingleConfig(name, context, cluster, user, merged.files[0])
