"""The unmodified compliance checker `scim2-tester` against a demo tenant, with a provisioning token that its administrator makes.

Usage: scim_client.py PATH/demo.json TENANT_SLUG PATH/dev-ca.pem
Exits with 1 and says why when something is not as promised.
"""

import json
import ssl
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tenant import Tenant

# What is not done here, by title and resource type, and why (docs/scim.md).
KNOWN = {
    ("search_with_attributes", "User"): "queries come by GET only",
    ("check_remove_attribute", "User"): "active has always a value",
}
# Groups are the roles that there are: the checker makes one of its own for whatever it checks about groups, and may not.
NO_NEW_GROUPS = "This address does not take that method."


def check(condition, promise):
    if not condition:
        raise SystemExit(f"FAILED: {promise}")
    print(f"ok: {promise}")


def told(result):
    return f"{result.status.name} {result.title} {result.resource_type or ''}: {result.reason}"


def main(demo, slug, authority):
    tenant = next(t for t in json.load(open(demo, encoding="utf-8"))["tenants"] if t["slug"] == slug)
    there = Tenant(tenant, authority)
    token = there.post("/api/v1/provisioning-tokens", {"name": "scim2-tester"}, there.sign_in("tenant_admin"))["token"]
    headers = {"Authorization": f"Bearer {token}"}
    verify = ssl.create_default_context(cafile=authority)
    with httpx2.Client(base_url=f"{there.base}/scim/v2", headers=headers, verify=verify) as http:
        results = check_server(SyncSCIMClient(http))
    for result in results:
        print(told(result))
    passed = [result for result in results if result.status is Status.SUCCESS]
    others = [result for result in results if result.status is not Status.SUCCESS]
    fixed = [result for result in others if result.resource_type == "Group" and NO_NEW_GROUPS in str(result.reason)]
    left = {(result.title, result.resource_type) for result in others if result not in fixed}
    titles = {(result.title, result.resource_type) for result in passed}
    lives = ["object_creation", "object_query", "object_query_without_id", "object_replacement", "object_deletion"]
    check(all((title, "User") in titles for title in lives), "users are created, read, listed, replaced and deleted")
    patched = {("check_add_attribute", "User"), ("check_replace_attribute", "User")}
    check(patched <= titles, "their attributes are added and replaced")
    check(len(passed) >= 45, f"{len(passed)} checks pass")
    check(left == set(KNOWN), f"of users nothing else is found: {left}")
    check(all(result.resource_type == "Group" for result in fixed) and fixed, "of groups only that none can be made")


if __name__ == "__main__":
    main(*sys.argv[1:])
