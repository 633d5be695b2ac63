"""The user's own models: SMPL-X body files, and exported networks that see crops of a person."""
