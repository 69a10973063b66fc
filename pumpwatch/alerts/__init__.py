"""What somebody should hear of: rules, what is open of them, and who is told. ``watching.py``: start here."""
