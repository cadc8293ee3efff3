"""From partitions to a trained model and its predictions."""
