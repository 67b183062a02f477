"""`flask models`: keeping the folder of bundles in order, bringing old ones up to date, measuring
what explains them, and signatures.
"""
