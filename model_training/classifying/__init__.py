"""Classify many pictures at once: files, folders, archives and lists in, one row for each out.

`sources` finds the pictures, `pipeline` judges them, `rows` is what is said of each, `journal`
keeps rows while they are made so that a killed run goes on, `tables` writes the finished file.
"""
