"""The gate: is a trained model better on the new domain and not worse on the old one?"""
