"""
A small pump.fun in a box on loopback, for ``demo`` and for tests (shared design, section 8).

Start at :mod:`pumpwatch.simulator.simulator`. Nothing here imports the decoder, the arithmetic or the continuity check of the
recorder: layouts and formulae are written a second time, so that a graded run compares the recorder with something else.
"""
