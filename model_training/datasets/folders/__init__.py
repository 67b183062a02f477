"""Pictures in class folders (`FOLDER/cat/*.jpg`): which files there are, the data set that they
make, and a review of them before anything is trained.
"""
