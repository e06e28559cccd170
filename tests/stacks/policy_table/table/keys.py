"""KMS keys: of the bucket, of the cluster's secrets and logs, of images, and one that signs."""

from __future__ import annotations

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.given import (
    ADMIN,
    AUTOSCALER,
    COLLEAGUE,
    CONTROL_PLANE,
    DEPLOYER,
    FOREIGN,
    FOREIGN_KEY,
    FOREIGNER,
    KEY_OF_MODELS,
    LOGS,
    LOGS_ELSEWHERE,
    NODE,
    OWN_SIGNING_KEY,
    READER,
    STRANGER,
    TRAINER,
)
from tests.stacks.policy_table.rows import (
    ANOTHER_NETWORK,
    INSIDE,
    OPENED,
    OUTSIDE,
    WITHIN_AWS,
    by,
    for_logs,
    may,
    may_not,
)

OF_BUCKET, OF_CLUSTER, OF_IMAGES, THAT_SIGNS = (
    arns.key(name) for name in ("releases", "training", "images", "signing")
)
S3 = by("s3")

DECRYPTS, USES = "kms:Decrypt", "kms:Decrypt kms:GenerateDataKey"
LOOKS = (
    "kms:DescribeKey kms:GetKeyPolicy kms:ListKeyPolicies kms:GetKeyRotationStatus kms:ListResourceTags "
    "kms:ListGrants"
)
CHANGES = (
    "kms:PutKeyPolicy kms:EnableKeyRotation kms:DisableKeyRotation kms:EnableKey kms:DisableKey "
    "kms:UpdateKeyDescription kms:TagResource kms:UntagResource kms:CreateAlias kms:UpdateAlias kms:DeleteAlias "
    "kms:ScheduleKeyDeletion kms:CancelKeyDeletion kms:RevokeGrant"
)
ENCRYPTS = "kms:Encrypt kms:Decrypt kms:GenerateDataKey kms:ReEncryptFrom kms:ReEncryptTo"
GRANTS = "kms:DescribeKey kms:CreateGrant kms:RetireGrant"
KEEPS = "kms:Encrypt kms:Decrypt kms:ListGrants"
UNHEARD_OF = "kms:GenerateDataKeyPair kms:ReplicateKey"
SIGNS = "kms:DescribeKey kms:GetPublicKey kms:Sign"
IAM = "TheAccountsPoliciesDecide"

OBJECTS = [
    may(TRAINER, USES, OF_BUCKET, S3, "trainer/Key", f"key releases/{IAM}"),
    may_not(TRAINER, USES, OF_BUCKET, OUTSIDE, "trainer/Key/kms:ViaService"),
    may_not(TRAINER, USES, OF_BUCKET, INSIDE, "trainer/Key/kms:ViaService", "endpoint kms/0/Action"),
    may_not(TRAINER, USES, OF_BUCKET, by("secretsmanager"), "trainer/Key/kms:ViaService"),
    may_not(TRAINER, USES, OF_CLUSTER, S3, "trainer/Key/Resource"),
    may_not(TRAINER, USES, OF_IMAGES, S3, "trainer/Key/Resource"),
    may_not(TRAINER, "kms:ScheduleKeyDeletion kms:PutKeyPolicy", OF_BUCKET, OUTSIDE, "trainer"),
    may(DEPLOYER, USES, OF_BUCKET, S3, ADMIN, f"key releases/{IAM}"),
    may(READER, DECRYPTS, OF_BUCKET, S3, "reader/0", f"key releases/{IAM}"),
    may_not(COLLEAGUE, DECRYPTS, OF_BUCKET, S3, "colleague"),
    may_not(STRANGER, DECRYPTS, OF_BUCKET, S3, "stranger"),
    may_not(NODE, DECRYPTS, OF_BUCKET, S3, "AmazonEKSWorkerNodePolicy"),
    may_not(FOREIGNER, DECRYPTS, OF_BUCKET, S3, "key releases"),
    may_not(FOREIGNER, DECRYPTS, OF_BUCKET, OUTSIDE, "key releases"),
]

_GROUP = f"/aws/eks/{arns.CLUSTER_NAME}/cluster"
_CONTEXT = "key training/LogsOfThisCluster/kms:EncryptionContext:aws:logs:arn"

SECRETS_AND_LOGS_OF_THE_CLUSTER = [
    may(CONTROL_PLANE, KEEPS, OF_CLUSTER, WITHIN_AWS, "training-secrets/0", f"key training/{IAM}"),
    may_not(CONTROL_PLANE, KEEPS, OF_BUCKET, WITHIN_AWS, "training-secrets/0/Resource"),
    may_not(CONTROL_PLANE, "kms:ScheduleKeyDeletion", OF_CLUSTER, WITHIN_AWS, "training-secrets/0/Action"),
    may(LOGS, ENCRYPTS, OF_CLUSTER, WITHIN_AWS, "key training/LogsOfThisCluster", how=for_logs(_GROUP)),
    may_not(LOGS, ENCRYPTS, OF_CLUSTER, WITHIN_AWS, _CONTEXT, how=for_logs("/aws/eks/another/cluster")),
    may_not(LOGS, ENCRYPTS, OF_CLUSTER, WITHIN_AWS, _CONTEXT, how=for_logs(_GROUP, FOREIGN)),
    may_not(LOGS, ENCRYPTS, OF_BUCKET, WITHIN_AWS, "key releases", how=for_logs(_GROUP)),
    may_not(LOGS_ELSEWHERE, ENCRYPTS, OF_CLUSTER, WITHIN_AWS, "key training", how=for_logs(_GROUP)),
    may_not(LOGS, "kms:ScheduleKeyDeletion", OF_CLUSTER, WITHIN_AWS, "key training"),
]

_KEYS = {OF_BUCKET: "key releases", OF_CLUSTER: "key training", OF_IMAGES: "key images"}
_ALL_KEYS = _KEYS | {THAT_SIGNS: "key signing"}

THE_DEPLOYER_ADMINISTERS = [
    *(
        may(DEPLOYER, does, key, OUTSIDE, ADMIN, f"{policy}/{IAM}")
        for key, policy in _ALL_KEYS.items()
        for does in (LOOKS, CHANGES, GRANTS)
    ),
    *(may(DEPLOYER, ENCRYPTS, key, OUTSIDE, ADMIN, f"{policy}/{IAM}") for key, policy in _KEYS.items()),
    may(DEPLOYER, GRANTS, OF_CLUSTER, by("eks"), ADMIN, f"key training/{IAM}"),
    may(DEPLOYER, GRANTS, OF_IMAGES, by("ecr"), ADMIN, f"key images/{IAM}"),
    *(
        may_not(DEPLOYER, UNHEARD_OF, key, OUTSIDE, f"{policy}/{IAM}/Action")
        for key, policy in _ALL_KEYS.items()
    ),
    may_not(DEPLOYER, CHANGES, OF_BUCKET, INSIDE, "endpoint kms/0/Action"),
    may_not(FOREIGNER, CHANGES, OF_BUCKET, OUTSIDE, "key releases"),
    may_not(STRANGER, CHANGES, OF_BUCKET, OUTSIDE, "stranger"),
]

_RIGHT, _GATE, _DELETES = "trainer/Sign", "endpoint kms/0", "kms:ScheduleKeyDeletion"
_STACKS, _USERS = f"key signing/{IAM}", "key of the user/0"

A_POD_SIGNS = [
    may(TRAINER, SIGNS, THAT_SIGNS, INSIDE, _RIGHT, _GATE, _STACKS),
    may(TRAINER, SIGNS, OWN_SIGNING_KEY, INSIDE, _RIGHT, _GATE, _USERS, stack=OPENED),
    may_not(TRAINER, SIGNS, OWN_SIGNING_KEY, INSIDE, f"{_RIGHT}/Resource"),
    may_not(TRAINER, SIGNS, THAT_SIGNS, OUTSIDE, f"{_RIGHT}/aws:SourceVpce"),
    may_not(TRAINER, SIGNS, THAT_SIGNS, ANOTHER_NETWORK, f"{_RIGHT}/aws:SourceVpce"),
    may_not(TRAINER, "kms:DescribeKey", OF_CLUSTER, INSIDE, f"{_RIGHT}/Resource"),
    may_not(
        TRAINER,
        f"kms:PutKeyPolicy {_DELETES}",
        THAT_SIGNS,
        OUTSIDE,
        f"{_RIGHT}/Action",
        f"{_RIGHT}/aws:SourceVpce",
    ),
    may_not(TRAINER, _DELETES, THAT_SIGNS, INSIDE, f"{_RIGHT}/Action", f"{_GATE}/Action"),
    may_not(NODE, SIGNS, THAT_SIGNS, INSIDE, "AmazonEKSWorkerNodePolicy"),
    may_not(AUTOSCALER, SIGNS, THAT_SIGNS, INSIDE, "autoscaler"),
    may_not(STRANGER, SIGNS, THAT_SIGNS, OUTSIDE, "stranger"),
    may_not(FOREIGNER, SIGNS, THAT_SIGNS, OUTSIDE, "key signing"),
    may_not(FOREIGNER, SIGNS, FOREIGN_KEY, INSIDE, f"{_GATE}/aws:PrincipalAccount"),
    may(DEPLOYER, f"{SIGNS} kms:Verify", THAT_SIGNS, OUTSIDE, ADMIN, _STACKS),
]

_MODELS = f"trainer/{arns.sid('Decrypt', KEY_OF_MODELS)}"

A_POD_READS_A_MODEL_THAT_IS_ENCRYPTED = [
    may(TRAINER, DECRYPTS, KEY_OF_MODELS, S3, _MODELS, _USERS, stack=OPENED),
    may_not(TRAINER, DECRYPTS, KEY_OF_MODELS, OUTSIDE, f"{_MODELS}/kms:ViaService", stack=OPENED),
    may_not(TRAINER, "kms:GenerateDataKey", KEY_OF_MODELS, S3, f"{_MODELS}/Action", stack=OPENED),
    may_not(TRAINER, DECRYPTS, KEY_OF_MODELS, S3, "trainer/Key/Resource"),
]

ROWS = [
    *OBJECTS,
    *SECRETS_AND_LOGS_OF_THE_CLUSTER,
    *THE_DEPLOYER_ADMINISTERS,
    *A_POD_SIGNS,
    *A_POD_READS_A_MODEL_THAT_IS_ENCRYPTED,
]
