"""The tests: they read as a description of the product."""
