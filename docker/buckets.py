"""Create S3 buckets that are not there yet. Address and keys come from AWS_ENDPOINT_URL_S3 and AWS_* variables.

Usage: ftcore-buckets NAME [NAME ...]
"""

from __future__ import annotations

import sys

import boto3

client = boto3.client("s3")
present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
for name in sys.argv[1:]:
    if name not in present:
        client.create_bucket(Bucket=name)
    print(f"{name}: {'there already' if name in present else 'created'}")
