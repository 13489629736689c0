"""Recipes: presets as Python values, one folder a domain."""
