"""What networks learn from: data sets and where they are found, the opener of pictures,
augmentation and transforms, views, packed test images, statistics, and the review of a folder.

Knows nothing of networks, and imports no deep-learning framework.
"""
