from __future__ import annotations

from components.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs
from engine.program import deploy
from tests.components.contexts import context


def test_clients_reach_the_endpoints_under_the_services_usual_names():
    _, recording = deploy(
        lambda: VpcEndpoints(
            "endpoints",
            VpcEndpointsArgs(
                vpc_id="vpc-1",
                subnet_ids=["subnet-a", "subnet-b"],
                security_group_id="sg-endpoints",
                context=context(),
                services=("secretsmanager", "ssm"),
            ),
        )
    )
    endpoints = {item.name: item.inputs for item in recording.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")}
    assert {name: inputs["serviceName"] for name, inputs in endpoints.items()} == {
        "endpoints-secretsmanager": "com.amazonaws.eu-west-1.secretsmanager",
        "endpoints-ssm": "com.amazonaws.eu-west-1.ssm",
    }
    for inputs in endpoints.values():
        assert inputs["privateDnsEnabled"] is True, "nodes would still use NAT"
        assert inputs["subnetIds"] == ["subnet-a", "subnet-b"], "traffic to an endpoint in another zone is billed"
        assert inputs["securityGroupIds"] == ["sg-endpoints"], "the VPC's default group allows nothing"
