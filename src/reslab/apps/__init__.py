"""The commands that take Hydra overrides."""
