// What one hit in memory costs with the caches a Node.js team would pick: `get_or_load` of a value that is there. Prints a
// line "name nanoseconds-of-CPU-per-hit" for each. The key and the value are those of benches/hot_path/cache.rs: an
// answer of 1 KiB with four headers.
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache } from 'cache-manager';

const key = 'rates|GET|https|rates.example.com:443|/v1/quotes/EURUSD|precision=5|305419896|gzip, deflate, br';
const answer = {
  status: 200,
  headers: {
    'cache-control': 'max-age=86400',
    'content-type': 'application/json',
    etag: '"33a64df551425fcc55e4d42a148795d9f25f89d4"',
    vary: 'accept-encoding',
  },
  body: Buffer.alloc(1024, 'x'),
};
const day = 24 * 60 * 60 * 1000;
const absent = () => {
  throw new Error('not a hit');
};

// Values stay as they are: a copy for every hit is not what a careful engineer would pay for.
const bento = new BentoCache({
  default: 'memory',
  stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 50_000, serialize: false })) },
});
const manager = createCache();
const peers = {
  bentocache: { fill: () => bento.set({ key, value: answer, ttl: day }), hit: () => bento.getOrSet({ key, factory: absent, ttl: day }) },
  'cache-manager': { fill: () => manager.set(key, answer, day), hit: () => manager.wrap(key, absent, day) },
};

async function nanosPerHit(hit, hits) {
  const before = process.cpuUsage();
  for (let n = 0; n < hits; n++) await hit();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / hits;
}

for (const [name, { fill, hit }] of Object.entries(peers)) {
  await fill();
  if ((await hit())?.status !== 200) throw new Error(`${name} does not hit`);
  await nanosPerHit(hit, 100_000);
  const rounds = [];
  for (let round = 0; round < 5; round++) rounds.push(await nanosPerHit(hit, 200_000));
  rounds.sort((a, b) => a - b);
  console.log(name, rounds[2].toFixed(0));
}
await bento.disconnectAll();
await manager.disconnect();
