"""HDF5: the dialect that Keras writes, read strictly and written; others are repacked."""
