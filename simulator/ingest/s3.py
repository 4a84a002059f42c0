"""Bills in S3: a delivery under an `s3://bucket/prefix` is fetched to a scratch folder, manifests first.

Only the parts that the newest manifests name are fetched; without a manifest, everything under the prefix. Credentials
and endpoint come from the environment, as boto3 finds them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from models.errors import BillingFormatError, Problem


def fetch(address: str, folder: Path, client: Any = None) -> Path:
    """Copy what is needed below `address` into `folder`, keeping the keys as paths; returns the local file or folder."""
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", address)
    if match is None:
        raise BillingFormatError(Problem(address, "no S3 address", "write s3://bucket/prefix"))
    bucket, prefix = match.groups()
    try:
        s3 = client or boto3.client("s3")
        keys = _keys(s3, bucket, prefix)
        if not keys:
            raise BillingFormatError(Problem(address, "nothing under this prefix", "check the bucket and the prefix"))
        for key in _needed(s3, bucket, keys, folder):
            _download(s3, bucket, key, folder)
    except (BotoCoreError, ClientError) as error:
        raise BillingFormatError(Problem(address, f"a bucket that cannot be read ({_reason(error)})", "check the credentials")) from None
    return folder / keys[0] if keys == [prefix] else folder


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [item["Key"] for page in pages for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
    beside = [key for key in found if key == prefix or key.startswith(prefix.rstrip("/") + "/") or not prefix]
    return sorted(beside or found)


def _needed(s3: Any, bucket: str, keys: list[str], folder: Path) -> list[str]:
    manifests = [key for key in keys if key.endswith("anifest.json")]
    named: set[str] = set()
    for key in manifests:
        _download(s3, bucket, key, folder)
        try:
            document = json.loads((folder / key).read_text(encoding="utf-8"))
            parts = document.get("reportKeys", document.get("dataFiles")) or []
        except (ValueError, AttributeError):
            continue
        named |= {re.sub(r"^s3://[^/]+/", "", part) for part in parts if isinstance(part, str)}
    return [key for key in keys if key in named] if named else [key for key in keys if key not in manifests]


def _download(s3: Any, bucket: str, key: str, folder: Path) -> None:
    target = folder / key
    if ".." in Path(key).parts:
        raise BillingFormatError(Problem(f"s3://{bucket}/{key}", "a key that points outside", "rename the object"))
    target.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(target))


def _reason(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "refused"))
    return type(error).__name__
