"""Dagster only: one module a stage. Read a port, call pure code, write a port, report."""
