// An app that tells, a line of JSON for each, what messages its parser has found. It ends with its standard input.
// Strings are those of Latin-1: a character for each byte.
const fs = require('fs');
const http = require('http');

const say = (what) => fs.writeSync(1, JSON.stringify(what) + '\n');

const server = http.createServer({ insecureHTTPParser: process.argv[2] === 'lenient', keepAliveTimeout: 60000 }, (req, res) => {
  const body = [];
  req.on('error', () => {});
  req.on('data', (chunk) => body.push(chunk));
  req.on('end', () => {
    say({
      port: req.socket.remotePort, method: req.method, target: req.url, fields: req.rawHeaders,
      trailers: req.rawTrailers, body: Buffer.concat(body).toString('latin1'),
    });
    res.end('ok');
  });
});
server.on('clientError', (err, socket) => {
  if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
});
server.listen(0, '127.0.0.1', () => say({ listens: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
