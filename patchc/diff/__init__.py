"""Two models side by side: what differs, and the patch that leads from one to the other."""
