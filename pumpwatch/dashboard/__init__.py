"""The web page: what the recorder knows, live, in a browser. A process of its own that only reads."""
