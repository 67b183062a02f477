"""Networks for photographs of animals, 100x100 pixels, after a course project on Animals-10.

They learn from Animals-7 here, seven of its ten classes: what was reported is of another task.
"""
