"""AWS access: objects in a bucket, and keys in KMS. Needs boto3, an optional extra."""
