"""Credential plugins: programs that a kubeconfig names and that print a token (client.authentication.k8s.io)."""

import base64
import os
import subprocess
import sys
from typing import TypeVar

import msgspec
from lightkube.config.models import Cluster, User, UserExec

from homeport.errors import ClusterError, UsageError
from homeport.oci.unreadable import UNREADABLE

_AnyUser = TypeVar("_AnyUser", bound=User)


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None


class _ExecCredential(msgspec.Struct):
    status: _Status


def run_plugin(plugin: UserExec, cluster: Cluster, user: _AnyUser) -> _AnyUser:
    """Run a plugin and return the user with what it printed; raises UsageError and ClusterError.

    Its questions and complaints go to the terminal, as they do under kubectl.
    """
    asked = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": _spec(plugin, cluster)}
    environment = {
        **os.environ,
        **{variable.name: variable.value for variable in plugin.env or ()},
        "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode(),
    }
    stdin = None if sys.stdin.isatty() else subprocess.DEVNULL
    try:
        done = subprocess.run(
            [plugin.command, *(plugin.args or ())], env=environment, stdin=stdin, stdout=subprocess.PIPE, check=False
        )
    except OSError as error:
        raise UsageError(
            f"the credential plugin {plugin.command} cannot be run: {error.strerror}",
            hint=plugin.installHint or "Install it, or put its folder on the PATH; kubectl needs it as well.",
        ) from None
    if done.returncode:
        raise ClusterError(
            f"the credential plugin {plugin.command} gave no token: it ended with code {done.returncode}",
            hint="Log in again with your cloud's tool; `kubectl get namespaces` shows when it works.",
        )
    return _with_answer(user, plugin.command, done.stdout)


def _spec(plugin: UserExec, cluster: Cluster) -> dict[str, object]:
    spec: dict[str, object] = {"interactive": sys.stdin.isatty()}
    if getattr(plugin, "provide_cluster_info", False):
        shown = {"server": cluster.server, "certificate-authority-data": cluster.certificate_auth_data}
        spec["cluster"] = {name: value for name, value in shown.items() if value}
    return spec


def _with_answer(user: _AnyUser, command: str, answer: bytes) -> _AnyUser:
    try:
        status = msgspec.json.decode(answer, type=_ExecCredential).status
    except UNREADABLE:
        raise ClusterError(f"the credential plugin {command} printed no ExecCredential") from None
    given = {"token": status.token}
    for field, pem in (
        ("client_cert_data", status.client_certificate_data),
        ("client_key_data", status.client_key_data),
    ):
        given[field] = base64.b64encode(pem.encode()).decode() if pem else None
    return msgspec.structs.replace(user, exec=None, **{name: value for name, value in given.items() if value})
