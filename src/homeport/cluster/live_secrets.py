"""The pull secrets of a live cluster, each fetched once, when it is asked for."""

from typing import Any
from urllib.parse import quote

from homeport.cluster.api import Api
from homeport.cluster.kinds import SECRETS, SERVICE_ACCOUNTS, Kind
from homeport.cluster.pull_access import Held, Name, held, names_in
from homeport.errors import ClusterError


class LivePullSecrets:
    """Pull secrets and service accounts of a cluster; raises ClusterError where it cannot be asked at all."""

    filled = True

    def __init__(self, api: Api) -> None:
        self._api = api
        self._secrets: dict[Name, Held] = {}
        self._accounts: dict[Name, tuple[str, ...] | None] = {}

    def secret(self, namespace: str, name: str) -> Held:
        """Return a pull secret; one that is not there is passed over by the kubelet, and holds nothing."""
        key = namespace, name
        if key not in self._secrets:
            try:
                found = self._get(SECRETS, key)
                self._secrets[key] = held(found) if found else Held()
            except ClusterError as error:
                if error.status != 403:
                    raise
                self._secrets[key] = Held(unknown=f"Secret {name} may not be read")
        return self._secrets[key]

    def lent(self, namespace: str, account: str) -> tuple[str, ...] | None:
        """Return the names of the pull secrets that a service account lends; None where it may not be read."""
        key = namespace, account
        if key not in self._accounts:
            try:
                found = self._get(SERVICE_ACCOUNTS, key) or {}
                self._accounts[key] = names_in(found.get("imagePullSecrets"))
            except ClusterError as error:
                if error.status != 403:
                    raise
                self._accounts[key] = None
        return self._accounts[key]

    def _get(self, kind: Kind, key: Name) -> dict[str, Any] | None:
        namespace, name = key
        return self._api.get(f"{kind.path('v1', namespace)}/{quote(name, safe='')}")
