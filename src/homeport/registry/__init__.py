"""A client of any registry: endpoints, credentials, trust, retry, resume."""
