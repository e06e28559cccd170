"""What the lab adds to moto's EKS: a real Kubernetes behind it, and operations missing from moto."""
