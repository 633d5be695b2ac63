"""Trained models: where their files lie, on what device they run, and how an operator loads them."""
