"""How manifests change: in-place edits and insertions, proved by scanning the result again."""
