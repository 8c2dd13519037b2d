"""The registry's own configuration file; docs/registry.md shows every key."""

import re
from pathlib import Path

import msgspec

from homeport.checked_yaml import line_of, parse_yaml, read_config
from homeport.errors import ConfigError
from homeport.server.access import Rule
from homeport.server.immutable import ImmutableTags
from homeport.server.proxies import Proxies

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


class TLSFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A certificate with its chain, its key, and the authorities whose clients are let in; paths as in the file."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    auto: bool = False


class Collection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When unused content is removed, how long it has to be unused, and where untagged manifests are unused too."""

    every: str = ""
    grace: str = "2h"
    untagged: tuple[str, ...] = ()


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What the file says. Relative paths are relative to its folder."""

    data: str = ""
    listen: str = ""
    htpasswd: str = ""
    tokens: bool = False
    token_seconds: int = 300
    tls: TLSFiles = TLSFiles()
    groups: dict[str, tuple[str, ...]] = {}
    access: tuple[Rule, ...] = ()
    read_only: bool = False
    immutable_tags: tuple[ImmutableTags, ...] = ()
    collection: Collection = Collection()
    access_log: bool = False
    trusted_proxies: tuple[str, ...] = ()
    file: str = ""

    def path(self, text: str) -> Path | None:
        """Return a path that the file names, None where it names none."""
        return Path(self.file).parent / text if text else None


def load_server_config(path: Path) -> ServerConfig:
    """Read and check a file; raises ConfigError with line and field, or UsageError where there is none."""
    content = read_config(path, hint="Name the file: homeport serve --config FILE.")
    config, root = parse_yaml(content, str(path), ServerConfig, expected="settings of the registry")

    def wrong(field: str, reason: str, hint: str = "") -> ConfigError:
        return ConfigError(reason, file=str(path), line=line_of(root, field), field=field, hint=hint)

    for index, rule in enumerate(config.access):
        if not (rule.anonymous or rule.users or rule.groups):
            raise wrong(f"access[{index}]", "names nobody", "Add users, groups or `anonymous: true`.")
        for group in rule.groups:
            if group not in config.groups:
                raise wrong(f"access[{index}].groups", f"there is no group {group!r}", "Define it under `groups`.")
    if config.access and not config.htpasswd:
        raise wrong("access", "rules need users", "Name the file of users: htpasswd: FILE.")
    for index, text in enumerate(config.trusted_proxies):
        try:
            Proxies((text,))
        except ValueError:
            hint = "Write for example 10.0.0.5 or 10.0.0.0/24."
            raise wrong(f"trustedProxies[{index}]", f"{text!r} is neither an address nor a network", hint) from None
    for field, text in (("collection.every", config.collection.every), ("collection.grace", config.collection.grace)):
        if text and not _DURATION.fullmatch(text):
            raise wrong(field, f"{text!r} is not a duration", "Write a number and s, m, h or d, for example 24h.")
    return config


def seconds(duration: str) -> float:
    """Read a duration such as 90s, 30m, 2h or 7d; raises ValueError."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write a number and s, m, h or d")
    return int(match[1]) * _UNITS[match[2]]
