"""What the five scripts share: one module for each subject."""
