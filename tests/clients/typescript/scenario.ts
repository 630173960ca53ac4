// The scenario, by openapi-fetch over the types that openapi-typescript makes.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './levee.d.ts';

const setting = (name: string): string => process.env[name] ?? assert.fail(`${name} is not set`);
const name = `client-${setting('SCENARIO')}`;
const email = setting('LEVEE_EMAIL');
type Spec = components['schemas']['UpstreamSpec'];
const spec: Spec = { url: setting('LEVEE_FLAKY_URL'), access: { allow: [`sa:${name}`] } };

/** What a success holds; anything else ends the scenario. */
function got<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert(answer.data !== undefined, `${answer.response.status}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** A call through the data plane: its status and, when Levee refused it, the problem's type. */
async function call(key?: string): Promise<[number, string?]> {
  const answer = await fetch(`${setting('LEVEE_CALLS_URL')}/proxy/${name}/hello`, {
    headers: key ? { 'Levee-Key': key } : {},
  });
  const text = await answer.text();
  const problem = answer.headers.get('content-type') === 'application/problem+json';
  return problem ? [answer.status, JSON.parse(text).type.split('/').pop()] : [answer.status];
}

const baseUrl = setting('LEVEE_URL');
const anonymous = createClient<paths>({ baseUrl });
const credentials = { email, password: setting('LEVEE_PASSWORD') };
const first = got(await anonymous.POST('/api/v1/auth/login', { body: credentials }));
const tokens = got(await anonymous.POST('/api/v1/auth/refresh', { body: { refreshToken: first.refreshToken } }));
assert.notEqual(tokens.refreshToken, first.refreshToken);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${tokens.accessToken}` } });
assert.equal(got(await client.GET('/api/v1/auth/me')).name, email);

const account = got(await client.POST('/api/v1/service-accounts', { body: { name, class: 'normal' } }));
const atAccount = { id: account.id };
const { key } = got(
  await client.POST('/api/v1/service-accounts/{id}/keys', { params: { path: atAccount }, body: { name: 'scenario' } }),
);

const made = await client.POST('/api/v1/upstreams', { body: { name, spec } });
assert.equal(made.response.status, 201);
assert.equal(made.response.headers.get('location'), `/api/v1/upstreams/${name}`);
assert.deepEqual(await call(key), [200]);
assert([401, 403].includes((await call())[0]));

const path = { name };
const read = await client.GET('/api/v1/upstreams/{name}', { params: { path } });
const stale = { path, header: { 'If-Match': read.response.headers.get('etag') ?? '' } };
const retry: Spec['retry'] = { attempts: 2, on: ['reset'] };
const body = { spec: { ...spec, owner: 'typescript', retry, limits: { request: '1MiB' } } };
const replaced = got(await client.PUT('/api/v1/upstreams/{name}', { params: stale, body }));
assert.deepEqual(replaced.spec as Spec, body.spec);
assert((replaced.revision ?? 0) > (got(read).revision ?? 0));
const late = await client.PUT('/api/v1/upstreams/{name}', { params: stale, body });
assert.equal(late.error?.status, 412);

const wrong = { name: `${name}-2`, spec: { ...spec, timeout: { total: '1s', attempt: '2s' } } };
const refused = await client.POST('/api/v1/upstreams', { body: wrong });
assert.equal(refused.error?.status, 400);
assert.deepEqual(refused.error.errors?.map((fault) => fault.pointer), ['/spec/timeout/attempt']);

const names: string[] = [];
let cursor: string | undefined;
do {
  const query = { limit: 1, cursor };
  const page = got(await client.GET('/api/v1/upstreams', { params: { query } }));
  names.push(...page.items.map((upstream) => upstream.name));
  cursor = page.next;
} while (cursor);
assert(names.includes(name) && names.length > 1 && new Set(names).size === names.length, names.join());

const breaker = { params: { path: { upstream: name } } };
const reason = 'the scenario';
got(await client.PUT('/api/v1/breakers/{upstream}', { ...breaker, body: { mode: 'forced_open', reason } }));
assert.deepEqual(await call(key), [503, 'circuit-open']);
got(await client.PUT('/api/v1/breakers/{upstream}', { ...breaker, body: { mode: 'auto', reason } }));
assert.deepEqual(await call(key), [200]);

const now = await client.GET('/api/v1/upstreams/{name}', { params: { path } });
const fresh = { path, header: { 'If-Match': now.response.headers.get('etag') ?? '' } };
const gone = await client.DELETE('/api/v1/upstreams/{name}', { params: fresh });
assert.equal(gone.response.status, 204);
const params = { path: atAccount, header: { 'If-Match': '*' } };
assert.equal((await client.DELETE('/api/v1/service-accounts/{id}', { params })).response.status, 204);
assert([401, 404].includes((await call(key))[0]));
const session = { refreshToken: tokens.refreshToken };
await client.POST('/api/v1/auth/logout', { body: session });
const ended = await anonymous.POST('/api/v1/auth/refresh', { body: session });
assert.equal(ended.error?.status, 401);
