"""The unmodified compliance checker `scim2-tester` against a demo tenant, with a provisioning token that its administrator makes.

Usage: scim_client.py PATH/demo.json TENANT_SLUG PATH/dev-ca.pem
Exits with 1 and says why when something is not as promised.
"""

import json
import ssl
import sys
from collections import Counter

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tenant import Tenant

# Groups are the roles that there are: none is made or deleted, as RFC 7644 section 3.1 leaves to the server. The checker makes one of its
# own for what it checks about groups.
GROUPS_ARE_FIXED = "Group"


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
        if result.status is not Status.SUCCESS:
            print(told(result))
    print(Counter(result.status.name for result in results))


if __name__ == "__main__":
    main(*sys.argv[1:])
