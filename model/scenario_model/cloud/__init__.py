"""AWS as this package uses it: objects in a bucket, and keys in KMS. Needs boto3, which is an extra."""
