"""From an upload to an answer: the files of a request, the verdicts of the models, and the pictures
that the page shows beside them.

Shared by the pages, the API and feedback.
"""
