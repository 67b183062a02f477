"""A search for better settings of a recipe: short trainings, each with settings of its own, judged
on validation images, and never on test images.

Optuna proposes the settings; it is imported only where a search is made.  What pages and trainings
read is the record of a study (`record`), which needs nothing of it.
"""
