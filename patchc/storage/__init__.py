"""Where models live: reading, writing, publishing."""
