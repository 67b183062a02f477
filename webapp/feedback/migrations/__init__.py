"""How the tables came to be as they are: Alembic reads `env.py` and the steps in `versions/`."""
