"""The main job: find, plan, mirror, relocate, verify, from one homeport.yaml."""
