"""Models in memory: the only place that imports Keras."""
