"""The release bucket and the others that training reads: who gets at objects, and who at the bucket itself."""

from __future__ import annotations

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.breaking import PUBLIC_ACCESS_BLOCK
from tests.stacks.policy_table.given import (
    ADMIN,
    ANYBODY,
    AUTOSCALER,
    COLLEAGUE,
    DEPLOYER,
    FOREIGN_BUCKET,
    FOREIGNER,
    FOUNDATION,
    NODE,
    OTHER_BUCKET,
    READER,
    STRANGER,
    TRAINER,
)
from tests.stacks.policy_table.rows import (
    ANOTHER_NETWORK,
    ELSEWHERE,
    INSIDE,
    OLD_TLS,
    OPENED,
    OUTSIDE,
    PLAIN_HTTP,
    SENDERS_KEY,
    encrypted,
    may,
    may_not,
)

BUCKET = arns.bucket("releases")
RELEASE = f"{BUCKET}/releases/assistant/sha256-0a/model.safetensors"
CHANNEL = f"{BUCKET}/channels/stable/1.json"
RUN = f"{BUCKET}/runs/0a/result.json"
CHECKPOINT = f"{BUCKET}/checkpoints/0a/step-8/weights.safetensors"
ELSE = f"{BUCKET}/notes/secret.txt"
MODEL = f"{FOUNDATION}/SmolLM2-135M-Instruct/model.safetensors"

READS, WRITES = "s3:GetObject", "s3:PutObject s3:AbortMultipartUpload s3:ListMultipartUploadParts"
MANAGES = "s3:GetBucketPolicy s3:PutBucketPolicy s3:PutLifecycleConfiguration s3:PutEncryptionConfiguration"
GATE = "endpoint s3/TheReleaseBucket"
NETWORK = "bucket policy/OnlyThroughTheNetwork"
OTHERS = f"trainer/{arns.sid('Read', FOUNDATION)}"

A_POD_TRAINS = [
    may(TRAINER, READS, RELEASE, INSIDE, "trainer/Read", GATE),
    may(TRAINER, READS, CHECKPOINT, INSIDE, "trainer/Read", GATE),
    may(TRAINER, WRITES, RELEASE, INSIDE, "trainer/Write", GATE),
    may(TRAINER, WRITES, CHANNEL, INSIDE, "trainer/Write", GATE),
    may(TRAINER, WRITES, RUN, INSIDE, "trainer/Write", GATE),
    may(TRAINER, WRITES, CHECKPOINT, INSIDE, "trainer/Write", GATE),
    may(TRAINER, "s3:ListBucket s3:ListBucketMultipartUploads", BUCKET, INSIDE, "trainer/List", GATE),
    may(TRAINER, "s3:DeleteObject", CHECKPOINT, INSIDE, "trainer/Delete", GATE),
    may_not(TRAINER, "s3:DeleteObject", RELEASE, INSIDE, "trainer/Delete/Resource"),
    may_not(TRAINER, "s3:DeleteObject", CHANNEL, INSIDE, "trainer/Delete/Resource"),
    may_not(TRAINER, "s3:DeleteObject", RUN, INSIDE, "trainer/Delete/Resource"),
    may_not(TRAINER, "s3:DeleteObjectVersion", CHECKPOINT, INSIDE, "trainer/Delete/Action", f"{GATE}/Action"),
    may_not(TRAINER, READS, ELSE, INSIDE, "trainer/Read/Resource"),
    may_not(TRAINER, WRITES, ELSE, INSIDE, "trainer/Write/Resource"),
    may_not(TRAINER, "s3:PutBucketPolicy s3:DeleteBucket", BUCKET, INSIDE, "trainer", f"{GATE}/Action"),
]

A_POD_READS_WHAT_IT_STARTS_FROM = [
    may(TRAINER, READS, MODEL, INSIDE, OTHERS, "endpoint s3/OthersToRead"),
    may(TRAINER, "s3:ListBucket", FOUNDATION, INSIDE, OTHERS, "endpoint s3/OthersToRead"),
    may_not(TRAINER, WRITES, MODEL, INSIDE, f"{OTHERS}/Action", "endpoint s3/OthersToRead/Action"),
    may_not(TRAINER, "s3:DeleteObject", MODEL, INSIDE, f"{OTHERS}/Action", "endpoint s3/OthersToRead/Action"),
    may_not(TRAINER, READS, f"{OTHER_BUCKET}/2026.csv", INSIDE, "trainer", "endpoint s3"),
]

NOTHING_LEAVES_BY_THE_NETWORK = [
    may_not(TRAINER, WRITES, f"{FOREIGN_BUCKET}/loot", INSIDE, "trainer", "endpoint s3"),
    may_not(FOREIGNER, WRITES, f"{FOREIGN_BUCKET}/loot", INSIDE, "endpoint s3"),
    may_not(ANYBODY, "s3:PutObject", f"{FOREIGN_BUCKET}/loot", INSIDE, "endpoint s3"),
    may_not(COLLEAGUE, WRITES, f"{OTHER_BUCKET}/loot", INSIDE, "endpoint s3"),
    may_not(COLLEAGUE, "s3:PutObject", MODEL, INSIDE, "endpoint s3/OthersToRead/Action"),
]

STOLEN_CREDENTIALS_OF_A_POD_ARE_WORTH_NOTHING_ELSEWHERE = [
    may_not(TRAINER, READS, RELEASE, OUTSIDE, NETWORK),
    may_not(TRAINER, WRITES, RELEASE, OUTSIDE, NETWORK),
    may_not(TRAINER, "s3:ListBucket", BUCKET, OUTSIDE, NETWORK),
    may_not(TRAINER, "s3:DeleteObject", CHECKPOINT, OUTSIDE, NETWORK),
    may_not(TRAINER, READS, RELEASE, ANOTHER_NETWORK, NETWORK),
    may_not(TRAINER, WRITES, RELEASE, ANOTHER_NETWORK, NETWORK),
]

IN_A_SAFE_WAY_ONLY = [
    may_not(TRAINER, READS, RELEASE, INSIDE, "bucket policy/PlainHttp", how=PLAIN_HTTP),
    may_not(TRAINER, WRITES, RELEASE, INSIDE, "bucket policy/PlainHttp", how=PLAIN_HTTP),
    may_not(DEPLOYER, MANAGES, BUCKET, OUTSIDE, "bucket policy/PlainHttp", how=PLAIN_HTTP),
    may_not(TRAINER, READS, RELEASE, INSIDE, "bucket policy/OldTls", how=OLD_TLS),
    may_not(DEPLOYER, MANAGES, BUCKET, OUTSIDE, "bucket policy/OldTls", how=OLD_TLS),
    may_not(DEPLOYER, READS, RELEASE, OUTSIDE, "bucket policy/OnlyThisRegion", how=ELSEWHERE),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/OnlyThisRegion", how=ELSEWHERE),
]

_KEY, _OTHER_KEY = arns.key("releases"), arns.key("images")
_BY_S3S = encrypted("with S3's own keys", "AES256")
_BY_AWSS = encrypted("with AWS's key for S3", "aws:kms")
_BY_ANOTHER = encrypted("with another key", "aws:kms", _OTHER_KEY)
_TWICE = encrypted("twice", "aws:kms:dsse", _KEY)

ENCRYPTED_WITH_THE_STACKS_KEY_ONLY = [
    may(
        TRAINER,
        "s3:PutObject",
        RELEASE,
        INSIDE,
        "trainer/Write",
        GATE,
        how=encrypted("rightly", "aws:kms", _KEY),
    ),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/OnlyEncryptedByKms", how=_BY_S3S),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/OnlyEncryptedByKms", how=_TWICE),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/OnlyThisKey", how=_BY_ANOTHER),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/OnlyANamedKey", how=_BY_AWSS),
    may_not(TRAINER, "s3:PutObject", RELEASE, INSIDE, "bucket policy/NoKeyOfTheSenders", how=SENDERS_KEY),
    may_not(DEPLOYER, "s3:PutObject", RELEASE, OUTSIDE, "bucket policy/OnlyThisKey", how=_BY_ANOTHER),
]

THE_DEPLOYER_DEPLOYS = [
    may(DEPLOYER, MANAGES, BUCKET, OUTSIDE, ADMIN),
    may(DEPLOYER, "s3:CreateBucket s3:DeleteBucket s3:ListBucket", BUCKET, OUTSIDE, ADMIN),
    may(
        DEPLOYER,
        "s3:GetObject s3:DeleteObject s3:DeleteObjectVersion",
        RELEASE,
        OUTSIDE,
        ADMIN,
    ),
    may(DEPLOYER, "s3:ListBucketVersions", BUCKET, OUTSIDE, ADMIN),
    may(DEPLOYER, "s3:GetObject s3:GetObjectVersion", RELEASE, INSIDE, ADMIN, GATE),
    may(DEPLOYER, "s3:GetBucketLocation", BUCKET, INSIDE, ADMIN, GATE),
    may(DEPLOYER, "s3:GetObjectVersion", MODEL, INSIDE, ADMIN, "endpoint s3/OthersToRead"),
    may(
        DEPLOYER,
        "s3:GetBucketLocation",
        FOUNDATION,
        INSIDE,
        ADMIN,
        "endpoint s3/OthersToRead",
    ),
    may_not(DEPLOYER, MANAGES, BUCKET, INSIDE, f"{GATE}/Action"),
    may_not(DEPLOYER, "s3:DeleteObjectVersion", RELEASE, INSIDE, f"{GATE}/Action"),
]

IAM_DECIDES_ABOUT_OTHERS_OF_THE_ACCOUNT_INSIDE_AND_THE_LIST_OUTSIDE = [
    may(READER, READS, RELEASE, OUTSIDE, "reader/0", stack=OPENED),
    may(READER, "s3:ListBucket", BUCKET, OUTSIDE, "reader/0", stack=OPENED),
    may_not(READER, WRITES, RELEASE, OUTSIDE, "reader", stack=OPENED),
    may_not(READER, READS, RELEASE, OUTSIDE, NETWORK),
    may(READER, READS, RELEASE, INSIDE, "reader/0", GATE),
    may_not(COLLEAGUE, READS, RELEASE, OUTSIDE, NETWORK),
    may_not(COLLEAGUE, READS, RELEASE, OUTSIDE, NETWORK, stack=OPENED),
    may(COLLEAGUE, READS, RELEASE, INSIDE, "colleague/0", GATE),
    may(COLLEAGUE, MANAGES, BUCKET, OUTSIDE, "colleague/0"),
    may_not(STRANGER, READS, RELEASE, OUTSIDE, "stranger", NETWORK),
    may_not(STRANGER, READS, RELEASE, INSIDE, "stranger"),
    may_not(STRANGER, MANAGES, BUCKET, OUTSIDE, "stranger"),
    may_not(NODE, READS, RELEASE, INSIDE, "AmazonEKSWorkerNodePolicy"),
    may_not(AUTOSCALER, READS, RELEASE, INSIDE, "autoscaler"),
]

NOBODY_ELSE = [
    may_not(FOREIGNER, READS, RELEASE, OUTSIDE, "bucket policy", NETWORK),
    may_not(FOREIGNER, WRITES, RELEASE, OUTSIDE, "bucket policy", NETWORK),
    may_not(FOREIGNER, READS, RELEASE, INSIDE, "bucket policy", f"{GATE}/aws:PrincipalAccount"),
    may_not(FOREIGNER, MANAGES, BUCKET, OUTSIDE, "bucket policy"),
    may_not(ANYBODY, READS, RELEASE, OUTSIDE, "bucket policy", NETWORK, PUBLIC_ACCESS_BLOCK),
    may_not(
        ANYBODY, READS, RELEASE, INSIDE, "bucket policy", f"{GATE}/aws:PrincipalAccount", PUBLIC_ACCESS_BLOCK
    ),
    may_not(
        FOREIGNER, READS, MODEL, INSIDE, "endpoint s3/OthersToRead/aws:PrincipalAccount", "foundation policy"
    ),
]

ROWS = [
    *A_POD_TRAINS,
    *A_POD_READS_WHAT_IT_STARTS_FROM,
    *NOTHING_LEAVES_BY_THE_NETWORK,
    *STOLEN_CREDENTIALS_OF_A_POD_ARE_WORTH_NOTHING_ELSEWHERE,
    *IN_A_SAFE_WAY_ONLY,
    *ENCRYPTED_WITH_THE_STACKS_KEY_ONLY,
    *THE_DEPLOYER_DEPLOYS,
    *IAM_DECIDES_ABOUT_OTHERS_OF_THE_ACCOUNT_INSIDE_AND_THE_LIST_OUTSIDE,
    *NOBODY_ELSE,
]
