"""The pure exchange model shared by the backtester, the paper sender and the simulators."""
