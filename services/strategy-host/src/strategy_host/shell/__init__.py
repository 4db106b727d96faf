"""The worker: which strategy nodes run in this process."""
