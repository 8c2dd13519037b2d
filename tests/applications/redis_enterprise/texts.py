"""Small manifests, facts made of them, and the problems in them."""

import textwrap

from homeport.applications.redis_enterprise.checks import Context, Problem, check
from homeport.applications.redis_enterprise.facts import Facts
from homeport.cluster.pull_access import FilePullSecrets
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: redis-enterprise-operator
spec:
  template:
    spec:
      containers:
      - name: redis-enterprise-operator
        image: {image}
      - name: admission
        image: {image}
"""


def facts(*texts: str) -> Facts:
    roots = []
    for number, text in enumerate(texts):
        source = Source(f"f{number}.yaml", textwrap.dedent(text))
        roots += [(source.name, document.root) for document in parse_documents(source)]
    return Facts.of(roots)


def operator(version: str = "7.2.4-7", repository: str = "redislabs/operator") -> str:
    return DEPLOYMENT.format(image=f"{repository}:{version}")


def rec(spec: str = "nodes: 3", name: str = "rec", *, status: str = "") -> str:
    body = textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ")
    tail = f"status: {status}\n" if status else ""
    return (
        "apiVersion: app.redislabs.com/v1\nkind: RedisEnterpriseCluster\n"
        f"metadata: {{name: {name}}}\nspec:\n{body}\n{tail}"
    )


def problems(*texts: str, home: str | None = None, openshift: bool | None = None) -> tuple[Problem, ...]:
    found = facts(*texts)
    secrets = FilePullSecrets.of(thing.root for thing in found.things)
    context = Context.of(found, secrets, secrets_known=bool(secrets.secrets), home=home, openshift=openshift)
    return check(context)
