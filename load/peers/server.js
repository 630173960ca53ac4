// Two routes of Levee's control plane, as a careful Node.js engineer would write them: Fastify with schemas for its
// answers, `jose` for the tokens, `pg` with a pool and prepared statements. It takes the tokens that Levee issues (JWKS_URL is
// Levee's) and reads the same database (DATABASE_URL). PORT is where it listens, on loopback.
import Fastify from 'fastify';
import { createLocalJWKSet, jwtVerify } from 'jose';
import pg from 'pg';

const jwks = createLocalJWKSet(await (await fetch(process.env.JWKS_URL)).json());
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const app = Fastify({ logger: false });

const checks = { issuer: 'levee', audience: 'levee', typ: 'at+jwt', algorithms: ['EdDSA'], clockTolerance: 5 };

const problem = {
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
  },
};

function refuse(status, slug, title, detail) {
  const body = { type: `https://levee.dev/problems/${slug}`, title, status, detail };
  return Object.assign(new Error(detail), { statusCode: status, body });
}

app.setErrorHandler((error, _request, reply) => {
  const body = error.body ?? { type: 'about:blank', title: 'Error', status: error.statusCode ?? 500 };
  reply.code(body.status).type('application/problem+json').send(JSON.stringify(body));
});

// A user who is shut out or changed must be so within a second: as Levee does, users are kept in memory and read again
// once they are a second old.
const users = new Map();

async function user(id) {
  const known = users.get(id);
  if (known && known.until > Date.now()) return known.row;
  const { rows } = await pool.query({
    name: 'user',
    text: 'SELECT id, email, name, role, disabled, epoch, created, updated, version FROM users WHERE id = $1',
    values: [id],
  });
  users.set(id, { row: rows[0], until: Date.now() + 1000 });
  return rows[0];
}

app.decorateRequest('user', null);

async function authenticate(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer' || !token) throw refuse(401, 'unauthorized', 'Unauthorized', 'Send an access token.');
  let claims;
  try {
    claims = (await jwtVerify(token, jwks, checks)).payload;
  } catch {
    throw refuse(401, 'unauthorized', 'Unauthorized', 'The token is not valid.');
  }
  const row = await user(claims.sub);
  if (!row || row.disabled || Number(row.epoch) !== claims.epoch) {
    throw refuse(401, 'unauthorized', 'Unauthorized', 'The token is not valid any longer.');
  }
  request.user = row;
}

// The database keeps microseconds.
const time = (micros) => new Date(Number(micros) / 1000).toISOString();

const text = { type: 'string' };

app.get(
  '/api/v1/auth/me',
  {
    onRequest: authenticate,
    schema: {
      response: {
        200: {
          type: 'object',
          properties: {
            id: text,
            email: text,
            name: text,
            role: text,
            disabled: { type: 'boolean' },
            created: text,
            updated: text,
          },
        },
        '4xx': problem,
      },
    },
  },
  async ({ user: row }) => ({ ...row, created: time(row.created), updated: time(row.updated) }),
);

app.get(
  '/api/v1/upstreams/:name',
  {
    onRequest: authenticate,
    schema: {
      params: { type: 'object', properties: { name: { type: 'string', maxLength: 63 } } },
      response: {
        200: {
          type: 'object',
          properties: {
            name: text,
            source: text,
            spec: { type: 'object', additionalProperties: true },
            revision: { type: 'integer' },
            created: text,
            updated: text,
            updatedBy: text,
          },
        },
        '4xx': problem,
      },
    },
  },
  async ({ params }, reply) => {
    const { rows } = await pool.query({
      name: 'upstream',
      text: 'SELECT name, spec, revision, created, updated, updated_by FROM upstreams WHERE name = $1',
      values: [params.name],
    });
    if (!rows[0]) throw refuse(404, 'not-found', 'Not found', 'There is no such upstream.');
    const row = rows[0];
    reply.header('etag', `"${row.revision}"`);
    return {
      name: row.name,
      source: 'api',
      spec: row.spec,
      revision: Number(row.revision),
      created: time(row.created),
      updated: time(row.updated),
      updatedBy: row.updated_by,
    };
  },
);

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
