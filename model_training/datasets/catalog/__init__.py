"""The data sets that are known by name, a module each: `DATA_SET`, found by `datasets.registry`.

Another one is another module here, and nothing else.
"""
