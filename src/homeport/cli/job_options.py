"""How a homeport.yaml says registries are reached, together with the options of the command line."""

import dataclasses

from homeport.cli.registry_options import RegistryOptions
from homeport.workflow.config import Config


def with_config(options: RegistryOptions, config: Config) -> RegistryOptions:
    """Add what the file says to what was typed; what was typed counts where both speak."""
    entries = config.registries.items()
    return dataclasses.replace(
        options,
        ca_file=(*options.ca_file, *(config.folder / file for file in config.ca_files)),
        plain_http=(*options.plain_http, *(host for host, entry in entries if entry.plain_http)),
        insecure=(*options.insecure, *(host for host, entry in entries if entry.insecure)),
        endpoint=(*(f"{host}={entry.endpoint}" for host, entry in entries if entry.endpoint), *options.endpoint),
    )
