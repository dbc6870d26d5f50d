"""A streaming health pipeline for pets, with observability as code."""

__version__ = "0.1.0"
