"""Processes, folders, machines and optional dependencies."""
