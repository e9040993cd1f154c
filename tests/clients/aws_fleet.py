"""A fleet at AWS, as moto's server plays it: it tells its address and what is there, and runs
until its input ends. What is asked for then must be signed, by who may ask for it."""

import json
import logging
import sys
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
ANYTHING = {"region_name": REGION, "aws_access_key_id": "A", "aws_secret_access_key": "x"}


def allow(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def run_instances(ec2, service, count):
    tags = [{"Key": "service", "Value": service}]
    specification = [{"ResourceType": "instance", "Tags": tags}]
    answer = ec2.run_instances(
        ImageId="ami-12345678", MinCount=count, MaxCount=count, TagSpecifications=specification
    )
    return answer["Instances"]


def run_task(ecs, subnet, group):
    tags = [{"key": "team", "value": "shop"}]
    ecs.create_cluster(clusterName="shop", tags=tags)
    ecs.register_task_definition(
        family="shop",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "shop", "image": "shop", "cpu": 64, "memory": 64}],
    )
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
    answer = ecs.run_task(
        cluster="shop",
        taskDefinition="shop",
        launchType="FARGATE",
        count=1,
        networkConfiguration=network,
    )
    return answer["tasks"][0]


def main():
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"

    def client(service):
        return boto3.client(service, endpoint_url=url, **ANYTHING)

    ec2, iam = client("ec2"), client("iam")
    shop = run_instances(ec2, "shop", 2)
    stopped = run_instances(ec2, "shop", 1)
    ec2.stop_instances(InstanceIds=[stopped[0]["InstanceId"]])
    run_instances(ec2, "other", 1)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    task = run_task(client("ecs"), subnet, group)

    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="discovery", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    may = allow("ec2:Describe*", "ecs:List*", "ecs:Describe*")
    iam.put_role_policy(RoleName="discovery", PolicyName="find", PolicyDocument=may)
    iam.create_user(UserName="periskop")
    key = iam.create_access_key(UserName="periskop")["AccessKey"]
    may = allow("sts:AssumeRole")
    iam.put_user_policy(UserName="periskop", PolicyName="assume", PolicyDocument=may)
    # From here on signatures and policies count.
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", headers)
    urllib.request.urlopen(request).close()

    told = {
        "url": url,
        "region": REGION,
        "instances": {i["InstanceId"]: i["PrivateIpAddress"] for i in shop},
        "zone": shop[0]["Placement"]["AvailabilityZone"],
        "task": task["taskArn"],
        "role": role,
        "access_key": key["AccessKeyId"],
        "secret_key": key["SecretAccessKey"],
    }
    print("fleet", json.dumps(told), flush=True)
    sys.stdin.read()


main()
