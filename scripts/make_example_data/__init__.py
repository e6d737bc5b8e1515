"""Writes the example data set: customer-support messages of a made-up shop, labelled by intent."""
