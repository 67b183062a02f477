"""What whoever runs the site sees of its work: counts and times (`metrics`), and the number that a
request has in its answer, in errors and in the log (`tracing`).
"""
