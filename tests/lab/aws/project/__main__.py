"""A cloud in small, shaped by the JSON in SHAPE: network, cluster with nodes, bucket, repository; pod."""

from __future__ import annotations

import json
import os

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

shape = json.loads(os.environ.get("SHAPE", "{}"))


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


if "only" in shape:  # resources as the test wants them, right or wrong
    for number, (token, arguments) in enumerate(shape["only"]):
        pulumi.CustomResource(token, f"one-{number}", arguments)
else:
    vpc = aws.ec2.Vpc("main", cidr_block="10.20.0.0/16", enable_dns_hostnames=True, tags={"Name": "lab"})
    subnets = [
        aws.ec2.Subnet(
            f"nodes-{zone}",
            vpc_id=vpc.id,
            cidr_block=f"10.20.{number}.0/24",
            availability_zone=f"eu-central-1{zone}",
        )
        for number, zone in enumerate("ab")
    ]
    gateway = aws.ec2.InternetGateway("out", vpc_id=vpc.id)
    table = aws.ec2.RouteTable(
        "public", vpc_id=vpc.id, routes=[{"cidr_block": "0.0.0.0/0", "gateway_id": gateway.id}]
    )
    aws.ec2.RouteTableAssociation("public-a", subnet_id=subnets[0].id, route_table_id=table.id)
    group = aws.ec2.SecurityGroup("nodes", vpc_id=vpc.id, description="nodes among themselves")
    aws.vpc.SecurityGroupIngressRule(
        "nodes", security_group_id=group.id, ip_protocol="-1", referenced_security_group_id=group.id
    )
    role = aws.iam.Role("cluster", assume_role_policy=trust("eks.amazonaws.com"))
    nodes = aws.iam.Role("nodes", assume_role_policy=trust("ec2.amazonaws.com"))
    aws.iam.RolePolicyAttachment(
        "nodes", role=nodes.name, policy_arn="arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
    )
    cluster = aws.eks.Cluster(
        "training",
        role_arn=role.arn,
        vpc_config={"subnet_ids": [each.id for each in subnets]},
        access_config={"authentication_mode": "API"},
        enabled_cluster_log_types=["api", "audit"],
    )
    aws.eks.NodeGroup(
        "gpus",
        cluster_name=cluster.name,
        node_role_arn=nodes.arn,
        subnet_ids=[each.id for each in subnets],
        scaling_config={"desired_size": shape.get("nodes", 2), "min_size": 0, "max_size": 8},
        instance_types=["p5.48xlarge"],
        labels={"kind": "gpu"},
        taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
    )
    aws.eks.Addon("coredns", cluster_name=cluster.name, addon_name="coredns")
    aws.eks.PodIdentityAssociation(
        "trainer",
        cluster_name=cluster.name,
        namespace="training",
        service_account="trainer",
        role_arn=nodes.arn,
    )
    bucket = aws.s3.Bucket(
        "releases", force_destroy=True, tags={"owner": pulumi.Output.secret("planted-9c1e")}
    )
    aws.s3.BucketVersioning("releases", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
    aws.s3.BucketPublicAccessBlock("releases", bucket=bucket.bucket, block_public_acls=True)
    aws.s3.BucketServerSideEncryptionConfiguration(
        "releases",
        bucket=bucket.bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms"}}],
    )
    aws.s3.BucketPolicy(
        "releases",
        bucket=bucket.bucket,
        policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": bucket.arn,
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            }
        ),
    )
    images = aws.ecr.Repository("images", image_tag_mutability="IMMUTABLE", force_delete=True)
    if "pod" in shape:
        access = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "aws",
            "args": ["eks", "get-token", "--cluster-name", cluster.name],
            "interactiveMode": "Never",
        }
        server = {
            "server": cluster.endpoint,
            "certificate-authority-data": cluster.certificate_authority.data,
        }
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": server}],
            "users": [{"name": "aws", "user": {"exec": access}}],
            "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "aws"}}],
            "current-context": "eks",
        }
        inside = kubernetes.Provider("inside", kubeconfig=pulumi.Output.json_dumps(kubeconfig))
        spec = shape["pod"]
        spec["containers"][0]["env"] = [{"name": "BUCKET", "value": bucket.bucket}]
        kubernetes.core.v1.Pod(
            "trainer",
            metadata={"name": "trainer", "labels": {"round": shape.get("round", "first")}},
            spec=spec,
            opts=pulumi.ResourceOptions(provider=inside),
        )
    pulumi.export("cluster", cluster.name)
    pulumi.export("endpoint", cluster.endpoint)
    pulumi.export("authority", cluster.certificate_authority.data)
    pulumi.export("bucket", bucket.bucket)
    pulumi.export("repository", images.repository_url)
    pulumi.export("vpc", vpc.id)
