"""Adapters, one folder a kind of signal; each found through an entry point, as a third party's is."""
