"""Rankers: short assemblies of layers on one trunk."""
