"""From an upload to an answer: what a request brings, what the model says of it, and the pictures
that the page shows beside it.

Shared by the pages, the API and feedback.
"""
