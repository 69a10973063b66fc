"""History and repairs over JSON-RPC."""
