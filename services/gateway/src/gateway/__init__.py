"""HTTP API, web page and control."""
