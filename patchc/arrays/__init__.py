"""Values of weights, with NumPy alone."""
