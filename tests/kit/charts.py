"""A small chart with what makes relocation hard: split values, a hook, a dependency."""

import tarfile
from pathlib import Path

FILES = {
    "Chart.yaml": """\
apiVersion: v2
name: demo
version: 0.1.0
dependencies:
- {name: cache, version: 0.1.0, alias: store, condition: store.enabled}
""",
    "values.yaml": """\
image:
  registry: docker.io
  repository: redislabs/operator   # the operator
  tag: 7.2.4-7
sidecars:
- name: exporter
  image: quay.io/org/exporter:1
  port: 8080
store: {enabled: true}
""",
    "templates/deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: demo}
spec:
  template:
    spec:
      containers:
      - name: operator
        image: {{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}
      {{- range .Values.sidecars }}
      - name: {{ .name }}
        image: {{ .image | quote }}
      {{- end }}
""",
    "templates/hook.yaml": """\
apiVersion: batch/v1
kind: Job
metadata:
  name: hook
  annotations: {helm.sh/hook: pre-install}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: hook
        image: {{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}
""",
    "templates/NOTES.txt": "image: not/an-image:1\n",
    "charts/cache/Chart.yaml": "apiVersion: v2\nname: cache\nversion: 0.1.0\n",
    "charts/cache/values.yaml": "image: {repository: ghcr.io/org/cache, tag: v3}\nenabled: false\n",
    "charts/cache/templates/pod.yaml": """\
apiVersion: v1
kind: Pod
metadata: {name: cache}
spec:
  containers:
  - name: cache
    image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
""",
}
IMAGES = ["docker.io/redislabs/operator:7.2.4-7", "ghcr.io/org/cache:v3", "quay.io/org/exporter:1"]


def write_chart(folder: Path) -> Path:
    """Write the chart as a folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def pack_chart(folder: Path, archive: Path) -> Path:
    """Pack a chart's folder as `helm package` does, its name at the top."""
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, "demo")
    return archive
