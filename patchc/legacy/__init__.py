"""Legacy: configurations of older Keras versions, rewritten to what Keras 3 loads. JSON to JSON."""
