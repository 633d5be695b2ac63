"""Sample videos, and the programs that make them (`python -m samples.make`)."""
