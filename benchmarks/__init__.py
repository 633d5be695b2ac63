"""Measurements; each is run as a module and prints what it found."""
