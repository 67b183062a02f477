"""Networks that learn from nothing but the images of their data set."""
