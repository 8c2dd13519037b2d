"""homeport.yaml: the whole job in one small file, checked before anything is done."""

import difflib
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from homeport.cluster.pull_secrets import is_namespace, is_secret_name
from homeport.errors import ConfigError, UsageError
from homeport.mapping import Target
from homeport.mirror.platforms import is_platform

MAX_BYTES = 1 << 20
MAX_DEPTH = 32


class PullSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pull secret that deployments are to use, and the namespaces that need it."""

    name: str
    namespaces: tuple[str, ...] = ("default",)


class RedisEnterprise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The versions of Redis Enterprise for Kubernetes; `redis` is the first one published for the operator if not said."""

    operator: str
    redis: str | None = None


class RegistryEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How one registry is reached: at another address, by plain HTTP, or with its certificate unseen."""

    endpoint: str | None = None
    plain_http: bool = False
    insecure: bool = False


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What homeport.yaml says. Paths in it are relative to its folder, `folder` here."""

    target: str
    sources: tuple[str, ...]
    pull_secret: PullSecret | None = None
    platforms: tuple[str, ...] = ()
    redis_enterprise: RedisEnterprise | None = None
    registries: dict[str, RegistryEntry] = {}
    ca_files: tuple[str, ...] = ()
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


def load_config(path: Path) -> Config:
    """Read and check a file; raises ConfigError with line and field, or UsageError where there is none."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="Name the file: homeport plan homeport.yaml."
        ) from None
    if len(content) > MAX_BYTES:
        raise ConfigError("larger than 1 MiB", file=str(path), hint="This is to be homeport.yaml, not a manifest.")
    return parse_config(content, str(path))


def parse_config(content: bytes, file: str) -> Config:
    """Check the text of a file; raises ConfigError with line and field."""
    try:
        _check_depth(content, file)
        root = yaml.compose(content, Loader=yaml.CSafeLoader)
        data = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"not YAML: {error.problem}", file=file, line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"not YAML: {error}", file=file) from None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError("a mapping with `target` and `sources` is expected", file=file, line=1)
    _refuse_unknown_keys(root, Config, file)
    try:
        config = msgspec.convert({**data, "file": file}, Config)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$").removeprefix(".")
        raise ConfigError(reason, file=file, line=_line_of(root, field), field=field) from None
    _check_values(config, root)
    return config


def _check_depth(content: bytes, file: str) -> None:
    """Refuse what would overflow the composer's stack: it is written in C and recursive."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise ConfigError(f"nested more than {MAX_DEPTH} deep", file=file, line=line)


def _refuse_unknown_keys(node: yaml.MappingNode, kind: Any, file: str, prefix: str = "") -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind) if field.name != "file"}
    seen: set[str] = set()
    for key_node, value in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError("said twice", file=file, line=line, field=prefix + key)
        seen.add(key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
            raise ConfigError("not a known key", file=file, line=line, field=prefix + key, hint=hint)
        inner = _struct_in(known[key])
        if inner is not None and isinstance(value, yaml.MappingNode):
            _refuse_unknown_keys(value, inner, file, f"{prefix}{key}.")
    if kind is Config and isinstance(entries := _child(node, "registries"), yaml.MappingNode):
        for host, entry in entries.value:
            if isinstance(entry, yaml.MappingNode):
                _refuse_unknown_keys(entry, RegistryEntry, file, f"registries.{host.value}.")


def _struct_in(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next(
        (o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct) and o is not RegistryEntry), None
    )


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        item: yaml.Node = node.value[int(key)]
        return item
    return None


def _line_of(root: yaml.Node, field: str) -> int:
    """Return the line of a field, or of the nearest thing around it that is there."""
    node = root
    for step in re.findall(r"[^.\[\]]+", field):
        child = _child(node, step)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _check_values(config: Config, root: yaml.Node) -> None:
    def wrong(field: str, reason: str, hint: str = "") -> ConfigError:
        return ConfigError(reason, file=config.file, line=_line_of(root, field), field=field, hint=hint)

    try:
        Target.parse(config.target)
    except UsageError as error:
        raise wrong("target", error.message, error.hint) from None
    if not config.sources:
        raise wrong("sources", "names nothing", "List the files and folders that hold the manifests.")
    if "-" in config.sources:
        raise wrong("sources", "stdin cannot be a source here", "Write it to a file; a plan is to say the same twice.")
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
