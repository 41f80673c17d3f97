"""Plans, reports and diagnostics as text and JSON."""
