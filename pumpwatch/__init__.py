"""pumpwatch: a recorder of pump.fun trades that knows whether its record is complete."""

__version__ = "0.1.0"
