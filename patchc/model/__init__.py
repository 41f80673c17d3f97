"""What a model is: no files, no Keras, no arrays."""
