"""Classify many pictures at once: files, folders, archives and lists in, one row for each out.

`sources` finds the pictures, `archives` those in archives, and `stores` those that lie in an object
store, to which one of the `addresses` leads; `pipeline` judges them, `rows` is what is said of
each, `journal` keeps rows while they are made so that a killed run goes on, `tables` writes the
finished file.
"""
