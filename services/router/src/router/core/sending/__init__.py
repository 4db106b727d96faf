"""The pure core of a live sender: orders on their way to a broker with a wire between two transactions."""
