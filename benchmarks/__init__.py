"""Benchmarks for the README's claims about speed: each is a ratio measured within one run."""
