"""What a live cluster pulls and will pull."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory, Noted
from homeport.cluster.kinds import SECRETS, SERVICE_ACCOUNTS, Kind
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.pull_access import Name, PullSecrets, secret_names
from homeport.discovery.knowledge import Knowledge
from homeport.errors import ClusterError
from homeport.reference import DOCKER_HUB
from homeport.workflow.pulls import Pulls, pulls_of
