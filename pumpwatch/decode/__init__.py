"""
Bytes to meaning: messages of both sources and payloads of both programs to the records of :mod:`pumpwatch.events`.

Pure: no socket, clock, thread or database, and no bytes make it raise. Enter at
:func:`pumpwatch.decode.pumpportal.decode_message` and :func:`pumpwatch.decode.solana.decode_message`.
"""
