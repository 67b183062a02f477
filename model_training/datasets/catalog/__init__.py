"""The data sets that are known by name, one module each: `DATA_SET`, found by `datasets.registry`.

To add a data set, add a module here; nothing else is needed.  A module without one is a helper.
"""
