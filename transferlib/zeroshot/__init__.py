"""Classes by their names: a map from names to classifiers, and names together with a few labelled examples."""
