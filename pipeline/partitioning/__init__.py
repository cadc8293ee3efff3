"""From class folders to partitions: images, duplicates, groups, splits."""
