"""How good a classifier is: from its predictions to a page of figures, each with its interval."""
