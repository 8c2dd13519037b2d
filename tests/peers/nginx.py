"""A real nginx in front of a registry, set up as docs/registry.md says."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.kit.peers import peer

_CONFIG = """\
user root; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {host} {ssl};
    {certificate}
    client_max_body_size {most};
    location / {{
      proxy_pass http://{behind};
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering {buffering};
      proxy_read_timeout 900s;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      {more}
    }}
  }}
}}
"""


@contextmanager
def nginx(
    folder: Path,
    behind: str,
    certificate: tuple[Path, Path] | None = None,
    *,
    most: str = "0",
    buffering: str = "off",
    more: str = "",
) -> Iterator[str]:
    """Run nginx before the registry at `behind`; yield its host. It takes over a socket that is bound for it.

    `most` is the largest body that it takes; with `buffering` on it takes all of one before it hands it on, as it does by itself. `more`
    are directives for its location.
    """
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        host = f"127.0.0.1:{bound.getsockname()[1]}"
        files = "ssl_certificate {}; ssl_certificate_key {};".format(*certificate) if certificate else ""
        ssl = "ssl" if certificate else ""
        config = _CONFIG.format(
            folder=folder,
            host=host,
            ssl=ssl,
            certificate=files,
            behind=behind,
            most=most,
            buffering=buffering,
            more=more,
        )
        (folder / "nginx.conf").write_text(config)
        command = (peer("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"))
        environment = {**os.environ, "NGINX": f"{bound.fileno()};"}
        with subprocess.Popen(command, env=environment, pass_fds=(bound.fileno(),)) as process:
            try:
                yield host
            finally:
                process.terminate()
