"""Change trained Keras models with reviewed patch files."""
