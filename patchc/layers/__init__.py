"""What each Keras layer class means: one rule per class, by family."""
