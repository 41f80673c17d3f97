"""Patch and Graph to Plan."""
