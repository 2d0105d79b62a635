"""Detection on labelled histories: the product's own code, and simple detectors beside it."""
