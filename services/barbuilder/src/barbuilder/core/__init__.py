"""The bar builder's pure core."""
