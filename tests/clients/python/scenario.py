"""The scenario, by the client that openapi-python-client makes."""

import os

import httpx
from levee_client import AuthenticatedClient, Client
from levee_client.api.auth import get_me, login, logout, refresh
from levee_client.api.breakers import set_breaker
from levee_client.api.service_accounts import create_api_key, create_service_account, delete_service_account
from levee_client.api.upstreams import (
    create_upstream,
    delete_upstream,
    get_upstream,
    list_upstreams,
    replace_upstream,
)
from levee_client.models import (
    AccessPolicy,
    ApiKeyCreation,
    BreakerDecision,
    BreakerMode,
    Class,
    LimitsPolicy,
    Login,
    Problem,
    Refresh,
    RetryPolicy,
    RetryPolicyOnItem,
    ServiceAccountCreation,
    TimeoutPolicy,
    UpstreamChange,
    UpstreamCreation,
    UpstreamSpec,
)

URL = os.environ["LEVEE_URL"]
CALLS = os.environ["LEVEE_CALLS_URL"]
NAME = "client-" + os.environ["SCENARIO"]


def spec(**more):
    """A document that only our account may call, with these fields too."""
    return UpstreamSpec(url=os.environ["LEVEE_FLAKY_URL"], access=AccessPolicy(allow=[f"sa:{NAME}"]), **more)


def call(key=None):
    """A call through the data plane: its status and, when Levee refused it, the problem's type."""
    headers = {"Levee-Key": key} if key else {}
    answer = httpx.get(f"{CALLS}/proxy/{NAME}/hello", headers=headers)
    problem = answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rsplit("/", 1)[1] if problem else None


anonymous = Client(base_url=URL)
first = login.sync(client=anonymous, body=Login(os.environ["LEVEE_EMAIL"], os.environ["LEVEE_PASSWORD"]))
tokens = refresh.sync(client=anonymous, body=Refresh(first.refresh_token))
assert tokens.refresh_token != first.refresh_token
client = AuthenticatedClient(base_url=URL, token=tokens.access_token)
assert get_me.sync(client=client).name == os.environ["LEVEE_EMAIL"]

account = create_service_account.sync(client=client, body=ServiceAccountCreation(NAME, Class.NORMAL))
key = create_api_key.sync(account.id, client=client, body=ApiKeyCreation("scenario")).key

made = create_upstream.sync_detailed(client=client, body=UpstreamCreation(NAME, spec()))
assert made.status_code == 201 and made.headers["location"] == f"/api/v1/upstreams/{NAME}", made
assert call(key) == (200, None)
assert call()[0] in (401, 403)

read = get_upstream.sync_detailed(NAME, client=client)
tag = read.headers["etag"]
retry = RetryPolicy(attempts=2, on=[RetryPolicyOnItem.RESET])
changed = UpstreamChange(spec(owner="python", retry=retry, limits=LimitsPolicy(request="1MiB")))
replaced = replace_upstream.sync(NAME, client=client, body=changed, if_match=tag)
document = UpstreamSpec.from_dict(replaced.spec.to_dict())
assert document == changed.spec and document.owner == "python", document
assert replaced.revision > read.parsed.revision
stale = replace_upstream.sync(NAME, client=client, body=changed, if_match=tag)
assert isinstance(stale, Problem) and stale.status == 412, stale

wrong = spec(timeout=TimeoutPolicy(total="1s", attempt="2s"))
refused = create_upstream.sync(client=client, body=UpstreamCreation(f"{NAME}-2", wrong))
assert isinstance(refused, Problem) and refused.status == 400, refused
assert [fault.pointer for fault in refused.errors] == ["/spec/timeout/attempt"], refused

names, page = [], list_upstreams.sync(client=client, limit=1)
while True:
    names += [upstream.name for upstream in page.items]
    if not page.next_:
        break
    page = list_upstreams.sync(client=client, limit=1, cursor=page.next_)
assert NAME in names and len(set(names)) == len(names) > 1, names

set_breaker.sync(NAME, client=client, body=BreakerDecision(BreakerMode.FORCED_OPEN, "the scenario"))
assert call(key) == (503, "circuit-open")
set_breaker.sync(NAME, client=client, body=BreakerDecision(BreakerMode.AUTO, "the scenario"))
assert call(key) == (200, None)

tag = get_upstream.sync_detailed(NAME, client=client).headers["etag"]
assert delete_upstream.sync_detailed(NAME, client=client, if_match=tag).status_code == 204
assert delete_service_account.sync_detailed(account.id, client=client, if_match="*").status_code == 204
assert call(key)[0] in (401, 404)
logout.sync_detailed(client=client, body=Refresh(tokens.refresh_token))
ended = refresh.sync(client=anonymous, body=Refresh(tokens.refresh_token))
assert isinstance(ended, Problem) and ended.status == 401, ended
