"""The replay feed's shell: files."""
