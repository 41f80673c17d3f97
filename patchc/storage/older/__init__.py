"""Files of older Keras, and weights alone, seen as Keras 3 would have written them."""
