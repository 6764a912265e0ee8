// A client that asks, over one connection as long as it lasts, for what a line of its standard input each names (method and
// path), and tells in a line of JSON what its parser has found. It ends with its standard input.
// Strings are those of Latin-1: a character for each byte.
const http = require('http');

const [port, mode] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const options = { host: '127.0.0.1', port, agent, insecureHTTPParser: mode === 'lenient' };

const ask = (line) => new Promise((resolve) => {
  const [method, path] = line.split(' ');
  const req = http.request({ ...options, method, path }, (res) => {
    const body = [];
    res.on('data', (chunk) => body.push(chunk));
    res.on('error', (err) => resolve({ error: err.code }));
    res.on('end', () => resolve({
      status: res.statusCode, fields: res.rawHeaders, body: Buffer.concat(body).toString('latin1'),
    }));
  });
  req.on('error', (err) => resolve({ error: err.code }));
  req.end();
});

(async () => {
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await ask(line)) + '\n');
  }
  process.exit(0);
})();
