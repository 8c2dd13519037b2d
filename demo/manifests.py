"""The manifests that the demo relocates: an operator Deployment with two containers, and a RedisEnterpriseCluster."""

OPERATOR = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: redis-enterprise-operator
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: redis-enterprise-operator
spec:
  replicas: 1
  selector:
    matchLabels: {name: redis-enterprise-operator}
  template:
    metadata:
      labels: {name: redis-enterprise-operator}
    spec:
      serviceAccountName: redis-enterprise-operator
      containers:
        - name: redis-enterprise-operator
          image: redislabs/operator:7.2.4-7
          command: [operator-root, operator]
        - name: admission   # the second container is easily forgotten
          image: redislabs/operator:7.2.4-7
          command: [operator-root, admission]
"""

CLUSTER = """\
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
metadata:
  name: rec
spec:
  nodes: 3
  redisEnterpriseImageSpec:
    repository: redislabs/redis
    versionTag: 7.2.4-64   # goes with operator 7.2.4-7
"""

HOMEPORT_YAML = """\
target: {target}
sources: [operator.yaml, rec.yaml]
pullSecret:
  name: {secret}
  namespaces: [redis]
redisEnterprise:
  operator: 7.2.4-7
  redis: 7.2.4-64
"""
