"""What several commands share: progress bars, finding a data set or a bundle, and results in lines.

Knows no command.
"""
