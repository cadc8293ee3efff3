"""What the five scripts share: one module a subject."""
