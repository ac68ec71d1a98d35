// A real OAuth 2.0 server (oidc-provider) for the tests, with a hand to make trouble.
//
// Usage: node server.js FOLDER, where FOLDER/node_modules holds what package-lock.json names.
// Standard input: one line of JSON, {"clients":[…]}; its end is the end of the server.
// Standard output: one line of JSON, {"port":N}, when it listens on 127.0.0.1.
//
// Beside the server's own addresses:
//   GET  /resource        204 for a valid access token, else 401
//   GET  /test/consent?to=URL   walks an authorization as a person who agrees: {"code","state","iss"}
//   GET  /test/counts     requests at the token end point by grant_type
//   POST /test/expire     destroys the access token of the header Authorization
//   POST /test/lose       the next answer of the token end point is lost on its way
//   POST /test/fail?status=N&after=S&times=N   the next requests there are answered N
//   POST /test/hold?ms=N  answers of the token end point are held back so long from now on
//   POST /test/secret?client=ID&value=TEXT     a client's new secret

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const path = join(folder, 'node_modules/oidc-provider/lib/index.js');
const { Provider } = await import(pathToFileURL(path));

const rows = new Map();
const clients = new Map();

class Adapter {
  constructor(name) {
    this.name = name;
  }
  key(id) {
    return `${this.name}:${id}`;
  }
  async upsert(id, payload) {
    rows.set(this.key(id), payload);
  }
  async find(id) {
    return this.name === 'Client' ? clients.get(id) : rows.get(this.key(id));
  }
  async findByUid(uid) {
    return [...rows].find(([key, row]) => key.startsWith(`${this.name}:`) && row.uid === uid)?.[1];
  }
  async findByUserCode() {}
  async consume(id) {
    rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    rows.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, row] of rows) if (row.grantId === grantId) rows.delete(key);
  }
}

const configuration = {
  adapter: Adapter,
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
  cookies: { keys: ['a key of the tests'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    revocation: { enabled: true },
  },
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/test/interaction/${interaction.uid}` },
  issueRefreshToken: async () => true,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'contacts'],
  ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 86400, RefreshToken: 86400 },
};

const trouble = { lose: false, fail: [], hold: 0 };
const counts = {};
let provider;

async function interact(req, res) {
  const details = await provider.interactionDetails(req, res);
  if (details.prompt.name === 'login') {
    const login = { login: { accountId: 'person' } };
    return provider.interactionFinished(req, res, login, { mergeWithLastSubmission: false });
  }
  const { params, session } = details;
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  const consent = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(req, res, consent, { mergeWithLastSubmission: true });
}

async function consent(to) {
  const jar = new Map();
  let next = to;
  for (let hop = 0; hop < 20; hop += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(next, { headers: { cookie }, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split('=');
      jar.set(name, value);
    }
    const location = answer.headers.get('location');
    if (!location) throw new Error(`no way on: ${answer.status} ${await answer.text()}`);
    next = new URL(location, next);
    const said = Object.fromEntries(next.searchParams);
    if (said.code || said.error) return said;
  }
  throw new Error('too many redirects');
}

async function bearer(req) {
  const token = req.headers.authorization?.replace(/^Bearer /i, '') ?? '';
  return (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
}

function send(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(body === undefined ? undefined : JSON.stringify(body));
}

const pages = {
  'GET /resource': async (req, res) => send(res, (await bearer(req)) ? 204 : 401),
  'GET /test/consent': async (_req, res, query) => send(res, 200, await consent(query.get('to'))),
  'GET /test/counts': async (_req, res) => send(res, 200, counts),
  'POST /test/expire': async (req, res) => {
    await (await bearer(req))?.destroy();
    send(res, 204);
  },
  'POST /test/lose': async (_req, res) => {
    trouble.lose = true;
    send(res, 204);
  },
  'POST /test/fail': async (_req, res, query) => {
    const times = Number(query.get('times') ?? 1);
    const one = { status: Number(query.get('status')), after: query.get('after') };
    trouble.fail = Array.from({ length: times }, () => one);
    send(res, 204);
  },
  'POST /test/hold': async (_req, res, query) => {
    trouble.hold = Number(query.get('ms'));
    send(res, 204);
  },
  'POST /test/secret': async (_req, res, query) => {
    const id = query.get('client');
    clients.set(id, { ...clients.get(id), client_secret: query.get('value') });
    send(res, 204);
  },
};

// Stands before the token end point: counts, and makes the trouble that was asked for.
async function token(req, res) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
  counts[form.grant_type] = (counts[form.grant_type] ?? 0) + 1;
  const failure = trouble.fail.shift();
  if (failure) {
    const after = failure.after ? { 'retry-after': failure.after } : {};
    res.writeHead(failure.status, after);
    return res.end('no');
  }
  const lose = trouble.lose;
  trouble.lose = false;
  if (lose) res.end = () => req.socket.destroy();
  if (trouble.hold) {
    const end = res.end.bind(res);
    res.end = (...words) => {
      setTimeout(() => end(...words), trouble.hold);
      return res;
    };
  }
  // The body is read already: oidc-provider takes it from here.
  req.body = form;
  return provider.callback()(req, res);
}

const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://localhost');
  const page = pages[`${req.method} ${url.pathname}`];
  try {
    if (page) return await page(req, res, url.searchParams);
    if (url.pathname.startsWith('/test/interaction/')) return await interact(req, res);
    if (url.pathname === '/token') return await token(req, res);
    return await provider.callback()(req, res);
  } catch (error) {
    console.error(error);
    return send(res, 500, { error: String(error) });
  }
});

createInterface({ input: process.stdin })
  .on('line', (line) => {
    for (const client of JSON.parse(line).clients) clients.set(client.client_id, client);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      provider = new Provider(`http://127.0.0.1:${port}`, configuration);
      console.log(JSON.stringify({ port }));
      // Nobody reads on: a full or a closed pipe must not end the server.
      console.log = console.info = () => {};
    });
  })
  .on('close', () => process.exit(0));
