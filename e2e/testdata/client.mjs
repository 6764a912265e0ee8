// A client in Node: node client.mjs URL TRAITS FILE. URL is that of an app, FILE its /files/large.bin. The client prints the
// cases and exits with 0 if all have passed.
import assert from 'node:assert/strict';
import dns from 'node:dns';
import fs from 'node:fs';
import http from 'node:http';

dns.lookup = (name, options, done) => done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);

const [base, traits, name] = process.argv.slice(2);
const can = new Set(traits.split(' '));
const large = fs.readFileSync(name);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function bytes(path, init) {
	const answer = await fetch(base + path, init);
	assert.equal(answer.status, 200);
	return Buffer.from(await answer.arrayBuffer());
}

// pieces yields large in pieces, for a body without a length.
function pieces() {
	let at = 0;
	return new ReadableStream({
		pull(to) {
			to.enqueue(large.subarray(at, at += 100_000));
			if (at >= large.length) {
				to.close();
			}
		},
	});
}

// ping writes to a request and reads from its response in turn.
async function ping() {
	const request = http.request(base + '/echo', { method: 'POST' });
	request.flushHeaders();
	request.write('0');
	const answer = await new Promise((resolve, reject) => request.on('response', resolve).on('error', reject));
	const reader = answer[Symbol.asyncIterator]();
	for (let i = 1; i <= 20; i++) {
		assert.equal((await reader.next()).value.toString(), String(i - 1));
		request.write(String(i));
	}
	request.end();
	assert.equal((await reader.next()).value.toString(), '20');
	assert.equal((await reader.next()).done, true);
}

async function events() {
	const answer = await fetch(base + '/sse?n=6&every=50ms');
	assert.equal(answer.headers.get('content-type'), 'text/event-stream');
	let n = 0;
	for await (const chunk of answer.body) {
		for (const event of new TextDecoder().decode(chunk).split('\n\n').slice(0, -1)) {
			assert.match(event, new RegExp(`^data: ${n++} `));
		}
	}
	assert.equal(n, 6);
}

async function trailers() {
	const answer = await new Promise((resolve, reject) => http.get(base + '/files/trailers.txt', resolve).on('error', reject));
	for await (const _ of answer) { /* to the end */ }
	assert.equal(answer.trailers.checksum, 'sum-of-it');
}

// oneConnection: consecutive requests use one connection, whatever their responses.
async function oneConnection() {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const sockets = new Set();
	for (const [method, path] of [['GET', '/files/large.bin'], ['HEAD', '/files/large.bin'], ['GET', '/files/empty.bin'],
		['GET', '/files/nowhere'], ['GET', '/files/small.txt']]) {
		const request = http.request(base + path, { method, agent });
		request.on('socket', (socket) => sockets.add(socket)).end();
		const answer = await new Promise((resolve, reject) => request.on('response', resolve).on('error', reject));
		for await (const _ of answer) { /* to the end */ }
	}
	assert.equal(sockets.size, 1);
	agent.destroy();
}

// aborts: a request that the client aborts ends at the app too, whether the response has begun or not.
async function aborts() {
	const aborted = async () => (await (await fetch(base + '/stats')).json()).aborted;
	const before = await aborted();
	for (const path of ['/endless', '/endless', '/sleep?ms=30000', '/sleep?ms=30000']) {
		const abort = new AbortController();
		const asked = fetch(base + path, { signal: abort.signal });
		if (path === '/endless') {
			await (await asked).body.getReader().read();
		} else {
			await sleep(50); // enough time for the request to reach the app
		}
		abort.abort();
		await asked.catch((error) => assert.equal(error.name, 'AbortError'));
	}
	for (let waited = 0; await aborted() < before + 4; waited += 20) {
		assert(waited < 10_000, 'the app does not notice');
		await sleep(20);
	}
}

const cases = {
	'a file': async () => assert(large.equals(await bytes('/files/large.bin'))),
	'20 at once': async () => {
		for (const b of await Promise.all(Array.from({ length: 20 }, () => bytes('/files/large.bin')))) {
			assert(large.equals(b));
		}
	},
	'one connection': oneConnection,
	'a body': async () => can.has('chunked') && assert(large.equals(await bytes('/echo', { method: 'POST', body: large }))),
	'a stream': async () => can.has('chunked') &&
		assert(large.equals(await bytes('/echo', { method: 'POST', body: pieces(), duplex: 'half' }))),
	'by turns': async () => can.has('duplex') && await ping(),
	'events': async () => can.has('events') && await events(),
	'trailers': async () => can.has('trailers') && await trailers(),
	'aborts': async () => can.has('aborts') && await aborts(),
};

for (const [name, run] of Object.entries(cases)) {
	try {
		await run();
	} catch (error) {
		console.error(`${name}: ${error.stack}`);
		process.exit(1);
	}
	console.log(name);
}
process.exit(0); // fetch keeps its connections
