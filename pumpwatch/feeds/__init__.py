"""The live feeds: PumpPortal, and any Solana RPC endpoint."""
