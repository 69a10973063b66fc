"""``python -m pumpwatch``."""

from pumpwatch.cli.main import program

if __name__ == "__main__":
    program()
