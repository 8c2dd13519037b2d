"""Real registries and clients of others, as `make test-peers` installs them."""

import os
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:0
  secret: not-secret
"""


def peer(name: str) -> str:
    """Return the path of an installed peer: `crane`, `skopeo`, `registry` (distribution v3), `docker-registry` (v2)."""
    home = Path(os.environ.get("HOMEPORT_PEERS") or Path.home() / ".cache" / "homeport-peers")
    found = shutil.which(name, path=f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed; `make test-peers` installs it"
    return found


def run_peer(name: str, *arguments: str, **environment: str) -> str:
    """Run a client to its end and return what it wrote to stdout."""
    done = subprocess.run(
        (peer(name), *arguments), capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@contextmanager
def distribution(data: Path, name: str = "registry", certificate: Sequence[Path] | None = None) -> Iterator[str]:
    """Run distribution, v3 as `registry` or Debian's as `docker-registry`, on a free port; yield its host.

    It speaks TLS where `certificate` has the files of a certificate and its key.
    """
    data.mkdir(parents=True, exist_ok=True)
    config = data / "config.yml"
    tls = "  tls: {{certificate: {}, key: {}}}\n".format(*certificate) if certificate else ""
    config.write_text(_CONFIG.format(data=data / "data") + tls)
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with subprocess.Popen(
        (peer(name), "serve", str(config)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr
        log = process.stderr
        rest = threading.Thread(target=lambda: deque(log, maxlen=0))  # a full pipe would stop the registry
        try:
            host = _listening(log)
            rest.start()
            yield host
        finally:
            process.kill()
            if rest.ident:
                rest.join()


def _listening(lines: Iterable[str]) -> str:
    seen = []
    for line in lines:
        seen.append(line)
        if match := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
            return match[1]
    raise AssertionError("".join(seen))
