"""The list file of `--list`: images, and which tags of repositories."""

from pathlib import Path

import msgspec

from homeport.errors import ConfigError, HomeportError, UsageError
from homeport.mirror.selection import Selection
from homeport.reference import Reference
from homeport.registry.session import Registries


class _List(msgspec.Struct, forbid_unknown_fields=True):
    images: list[str | Selection]


def read_list(file: Path) -> tuple[str | Selection, ...]:
    """Read a list; raises ConfigError."""
    import yaml

    try:
        return tuple(msgspec.convert(yaml.safe_load(file.read_bytes()), type=_List).images)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is no YAML: {' '.join(str(error).split())}", file=str(file)) from None
    except msgspec.ValidationError as error:
        raise ConfigError(
            str(error),
            file=str(file),
            hint="It has images: a list of names, or of repository with tags, versions, latest.",
        ) from None


def choose(wishes: tuple[str | Selection, ...], registries: Registries) -> tuple[Reference, ...]:
    """Turn a list into images; the tags of a repository are asked for. Raises UsageError, RegistryError."""
    references: list[Reference] = []
    for wish in wishes:
        if isinstance(wish, str):
            references.append(_parsed(wish))
            continue
        repository = _parsed(wish.repository)
        if repository.tag or repository.digest:
            raise UsageError(
                f"{wish.repository}: a repository has no tag", hint="Name the tags by tags, versions, latest."
            )
        chosen = wish.choose(registries.client(repository.registry).tags(repository.repository))
        if not chosen:
            raise UsageError(
                f"{repository.name}: no tag is as the list wants it", hint="Try it: homeport mirror --dry-run"
            )
        references += [msgspec.structs.replace(repository, tag=tag) for tag in chosen]
    return tuple(references)


def _parsed(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except HomeportError as error:
        raise UsageError(error.message, hint=error.hint) from None
