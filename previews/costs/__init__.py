"""What a stack costs while it runs: on-demand prices, each with its date. What is not known is never 0."""
