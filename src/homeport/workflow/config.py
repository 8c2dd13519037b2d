"""homeport.yaml: the whole job in one small file, checked before anything is done."""

from pathlib import Path

import msgspec
import yaml

from homeport.checked_yaml import line_of, parse_yaml, read_config
from homeport.cluster.pull_secrets import is_namespace, is_secret_name
from homeport.errors import ConfigError, UsageError
from homeport.mapping import Mapping, Target
from homeport.mirror.platforms import is_platform


class PullSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pull secret that deployments are to use, and the namespaces that need it."""

    name: str
    namespaces: tuple[str, ...] = ("default",)


class RedisEnterprise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The versions of Redis Enterprise for Kubernetes; `redis` is the first one published for the operator if not said."""

    operator: str
    redis: str | None = None


class RegistryEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How one registry is reached: at another address, by plain HTTP, or with its certificate unseen; and who else has its content."""

    endpoint: str | None = None
    plain_http: bool = False
    insecure: bool = False
    mirrors: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What homeport.yaml says. Paths in it are relative to its folder, `folder` here."""

    target: str
    sources: tuple[str, ...]
    pull_secret: PullSecret | None = None
    platforms: tuple[str, ...] = ()
    redis_enterprise: RedisEnterprise | None = None
    registries: dict[str, RegistryEntry] = {}
    ca_files: tuple[str, ...] = ()
    keep_registry: bool = False
    map: tuple[str, ...] = ()
    default_registry: str = "docker.io"
    output: str = "relocated"
    file: str = "homeport.yaml"

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return Path(self.file).parent

    @property
    def output_folder(self) -> Path:
        """Where rewritten manifests and the pull secret go."""
        return self.folder / self.output

    @property
    def lock_file(self) -> Path:
        """Where the digests of the mirrored images are kept, beside the file."""
        return self.folder / "homeport.lock"


def mapping_of(config: Config) -> Mapping:
    """Return the rule of names that a configuration states; raises UsageError."""
    return Mapping.parse(config.target, keep_registry=config.keep_registry, redirects=config.map)


def load_config(path: Path) -> Config:
    """Read and check a file; raises ConfigError with line and field, or UsageError where there is none."""
    return parse_config(read_config(path, hint="Name the file: homeport plan homeport.yaml."), str(path))


def parse_config(content: bytes, file: str) -> Config:
    """Check the text of a file; raises ConfigError with line and field."""
    config, root = parse_yaml(content, file, Config, expected="`target` and `sources`")
    _check_values(config, root)
    return config


def _check_values(config: Config, root: yaml.Node) -> None:
    def wrong(field: str, reason: str, hint: str = "") -> ConfigError:
        return ConfigError(reason, file=config.file, line=line_of(root, field), field=field, hint=hint)

    try:
        Target.parse(config.target)
    except UsageError as error:
        raise wrong("target", error.message, error.hint) from None
    try:
        mapping_of(config)
    except UsageError as error:
        raise wrong("map", error.message, error.hint) from None
    if not config.sources:
        raise wrong("sources", "names nothing", "List the files and folders that hold the manifests.")
    if "-" in config.sources:
        raise wrong("sources", "stdin cannot be a source here", "Write it to a file; a plan is to say the same twice.")
    for name, entry in config.registries.items():
        for index, mirror in enumerate(entry.mirrors):
            try:
                Target.parse(mirror)
            except UsageError as error:
                raise wrong(f"registries.{name}.mirrors[{index}]", error.message, error.hint) from None
    if config.pull_secret:
        if not is_secret_name(config.pull_secret.name):
            raise wrong("pullSecret.name", f"{config.pull_secret.name!r} is not a name that Kubernetes takes")
        for index, namespace in enumerate(config.pull_secret.namespaces):
            if not is_namespace(namespace):
                raise wrong(f"pullSecret.namespaces[{index}]", f"{namespace!r} is not a namespace")
    for index, platform in enumerate(config.platforms):
        if not is_platform(platform):
            raise wrong(
                f"platforms[{index}]",
                f"{platform!r} is not a platform",
                "Write os/architecture, for example linux/amd64.",
            )
