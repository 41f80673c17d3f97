"""Plans and reports as HTML: fragments for notebooks, and a page of its own."""
