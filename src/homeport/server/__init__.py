"""A registry of one's own: the /v2/ API over a content store."""
