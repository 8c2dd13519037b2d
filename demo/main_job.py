"""Run the main job on this machine: no internet, nothing left running. Started by `make demo`."""

import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from demo.manifests import CLUSTER, HOMEPORT_YAML, OPERATOR
from homeport.registry.credentials import Credentials
from homeport.registry.session import Registries
from tests.kit.docker_hub import DockerHub, running_docker_hub
from tests.kit.images import multi_arch, put
from tests.kit.servers import HOMEPORT, docker_config, serve_process, write_htpasswd

IMAGES = {"redislabs/redis": "7.2.4-64", "redislabs/operator": "7.2.4-7", "redislabs/k8s-controller": "7.2.4-7"}
LAYER_BYTES = 2 << 20
SUMMARY = """
Done. What happened:
  1. scan      found the images and the registry that each comes from
  2. plan      said what would be brought and what it costs, without a counted pull
  3. mirror    brought the images to {target}: same tags, same digests, all platforms
  4. relocate  pointed both containers of the operator and the RedisEnterpriseCluster at it
  5. secret    made the pull secret that the kubelet reads
  6. check     looked for the known mistakes of a Redis Enterprise deployment
  7. verify    proved that all is there, pullable with that secret, and nothing comes from elsewhere
  8. apply     does all this from homeport.yaml; the second time it had nothing to do

With a registry of your own:
  docker login registry.example.com
  homeport redis-enterprise images 7.2.4-7 | homeport mirror --to registry.example.com/mirror -
  homeport relocate --to registry.example.com/mirror --pull-secret {secret} --in-place bundle.yaml rec.yaml
  homeport secret {secret} -n NAMESPACE --registry registry.example.com/mirror | kubectl apply -f -
"""
SECRET = "private-registry"


class Terminal:
    """Types commands as a person would, and shows what they print."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def say(self, text: str) -> None:
        print(f"\n# {text}", flush=True)

    def run(self, line: str, typed: str = "") -> None:
        """Run a command; `> FILE` at its end keeps what it prints, `typed` is a file that it reads."""
        print(f"$ homeport {line}{f' < {typed}' if typed else ''}", flush=True)
        command, _, file = line.partition(" > ")
        done = subprocess.run(
            [*HOMEPORT, *shlex.split(command)],
            cwd=self.folder,
            env=self.environment,
            input=(self.folder / typed).read_text() if typed else None,
            stdout=subprocess.PIPE if file else None,
            text=True,
            check=False,
        )
        if file:
            (self.folder / file).write_text(done.stdout)
        if done.returncode != 0:
            sys.exit(f"the demo failed: that exited with {done.returncode}")


def fill(hub: DockerHub, user: str, password: str, folder: Path) -> None:
    """Push small images to the stand-in under the names that Redis Enterprise has on Docker Hub."""
    folder.mkdir()
    credentials = Credentials((docker_config(folder, hub.host, user, password),))
    with Registries(credentials=credentials) as registries:
        for repository, tag in IMAGES.items():
            put(multi_arch(repository, size=LAYER_BYTES), registries.client(hub.host), repository, tag)


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homeport-demo-")))
        password = secrets.token_urlsafe(12)
        hub = stack.enter_context(running_docker_hub(limit=100, users={"publisher": password}))
        fill(hub, "publisher", password, folder / "publisher")
        htpasswd = write_htpasswd(folder / "htpasswd", {"deployer": password})
        registry = stack.enter_context(serve_process(folder / "registry", "--htpasswd", str(htpasswd)))
        target = f"{registry.host}/mirror"
        work = folder / "work"
        work.mkdir()
        (work / "operator.yaml").write_text(OPERATOR)
        (work / "rec.yaml").write_text(CLUSTER)
        (work / "homeport.yaml").write_text(HOMEPORT_YAML.format(target=target, secret=SECRET))
        (folder / "docker").mkdir()
        docker_config(folder / "docker", registry.host, "deployer", password)
        own = {"DOCKER_CONFIG": str(folder / "docker"), "XDG_CACHE_HOME": str(folder / "cache")}
        environment = {**os.environ, **own, "HOMEPORT_ENDPOINTS": hub.endpoint}
        print(f"A stand-in for Docker Hub runs at {hub.url}, the private registry with a login at {registry.url}.")
        show(Terminal(work, environment), target)
    print(SUMMARY.format(target=target, secret=SECRET))


def show(terminal: Terminal, target: str) -> None:
    """Type the commands of the main job."""
    manifests = "operator.yaml rec.yaml"
    terminal.say("Where do the images come from?")
    terminal.run(f"scan {manifests}")
    terminal.say("What is Docker Hub's quota, and what would be done and cost? Nothing is changed, no pull is counted.")
    terminal.run("limits")
    terminal.run("plan homeport.yaml")
    terminal.say("Which images belong to this release? Bring them to the private registry.")
    terminal.run("redis-enterprise images 7.2.4-7 --redis 7.2.4-64 > images.txt")
    terminal.run(f"mirror --to {target} -", typed="images.txt")
    terminal.say("Point the manifests at it: the new files go to a folder, the difference is shown.")
    terminal.run(f"relocate --to {target} --pull-secret {SECRET} --output-dir private --diff {manifests}")
    terminal.say("Make the pull secret, as the kubelet wants it.")
    terminal.run(f"secret {SECRET} -n redis --registry {target} > private/secret.yaml")
    terminal.say("Is anything wrong that people get wrong with Redis Enterprise?")
    terminal.run("redis-enterprise check private")
    terminal.say("Prove it: all there, same digests, pullable with that secret alone, nothing from elsewhere.")
    terminal.run(f"verify --registry {target} --source-registry docker.io private")
    terminal.say("The same from one file; what is done already is not done again.")
    terminal.run("apply homeport.yaml")
    terminal.run("apply homeport.yaml")


if __name__ == "__main__":
    main()
