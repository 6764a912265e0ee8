// An app in Node. It closes connections that were idle for 5 s, and announces that; with KEEP after KEEP ms, unannounced.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const files = process.env.FILES;
const keep = Number(process.env.KEEP ?? 0);
const stats = { requests: 0, aborted: 0, connections: 0 };

const routes = {
	// Each part of the body is sent back while more arrives.
	'/echo': (req, res) => {
		res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
		res.flushHeaders();
		req.pipe(res);
	},
	// The response does not wait for the body.
	'/refuse': (req, res) => res.writeHead(413, { Connection: 'close' }).end('too large\n'),
	'/none': (req, res) => res.writeHead(204).end(),
	'/target': (req, res) => res.end(req.url),
	'/ok': (req, res) => res.end('ok\n'),
	'/sleep': async (req, res) => {
		await sleep(Number(new URL(req.url, 'http://app').searchParams.get('ms')));
		res.end('ok\n');
	},
	'/endless': async (req, res) => {
		while (!res.closed) {
			if (!res.write(Buffer.alloc(65536))) {
				await new Promise((resolve) => res.once('drain', resolve).once('close', resolve));
			}
		}
	},
	'/hints': (req, res) => {
		res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
			res.writeEarlyHints({ link: '</b.css>; rel=preload' }, () => res.end('ok\n'));
		});
	},
	'/files/trailers.txt': (req, res) => {
		res.writeHead(200, { Trailer: 'Checksum' });
		res.write(fs.readFileSync(path.join(files, 'files/small.txt')));
		res.addTrailers({ Checksum: 'sum-of-it' });
		res.end();
	},
	'/sse': async (req, res) => {
		res.writeHead(200, { 'Content-Type': 'text/event-stream' });
		for (let i = 0; i < 6 && !res.closed; i++) {
			res.write(`data: ${i} ${Date.now()}\n\n`);
			await sleep(150);
		}
		res.end();
	},
};

function file(req, res) {
	const name = path.join(files, path.normalize(new URL(req.url, 'http://app').pathname));
	if (!fs.existsSync(name) || !fs.statSync(name).isFile()) {
		res.writeHead(404).end('not found\n');
		return;
	}
	const type = name.endsWith('.html') ? 'text/html' : 'application/octet-stream';
	res.writeHead(200, { 'Content-Type': type, 'Content-Length': fs.statSync(name).size });
	if (req.method === 'HEAD') {
		res.end();
	} else {
		fs.createReadStream(name).pipe(res);
	}
}

const server = http.createServer((req, res) => {
	if (keep) {
		res.setHeader('Connection', 'keep-alive'); // otherwise Node would announce the time
		clearTimeout(req.socket.idle);
		res.on('close', () => req.socket.idle = setTimeout(() => req.socket.end(), keep));
	}
	if (req.url === '/stats') {
		res.end(JSON.stringify(stats));
		return;
	}
	stats.requests++;
	res.on('close', () => stats.aborted += res.writableFinished ? 0 : 1);
	const name = req.url.split('?')[0];
	const serve = routes[name] ?? routes['/' + name.split('/')[1]] ?? file;
	serve(req, res);
});
if (keep) {
	server.keepAliveTimeout = 0; // Node would add a second to it
}
server.on('connection', () => stats.connections++);
server.listen(Number(process.env.PORT), '127.0.0.1');
