// A websocket over HTTP/2 in Node: node websocket.mjs ADDRESS HOST. The server has an echo at /ws. The script prints "echoed" and exits
// with 0 if all is well.
import assert from 'node:assert/strict';
import http2 from 'node:http2';

const [address, host] = process.argv.slice(2);
const session = http2.connect('http://' + address);
await new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject));
assert.equal(session.remoteSettings.enableConnectProtocol, true);

const stream = session.request({
	':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':authority': host, ':path': '/ws', 'sec-websocket-version': '13',
});
const head = await new Promise((resolve, reject) => stream.once('response', resolve).once('error', reject));
assert.equal(head[':status'], 200);

// frame is a client's, masked with zeros (RFC 6455 §5.2).
function frame(opcode, content) {
	const start = Buffer.alloc(14);
	start[0] = 0x80 | opcode;
	start[1] = 0x80 | 127;
	start.writeBigUInt64BE(BigInt(content.length), 2);
	return Buffer.concat([start, content]);
}

const sent = Buffer.alloc(1_000_000, 'websocket ');
stream.write(frame(2, sent));
let got = Buffer.alloc(0);
for await (const piece of stream) {
	got = Buffer.concat([got, piece]);
	if (got.length === 10 + sent.length) {
		assert.equal(got[0], 0x82);
		assert.ok(got.subarray(10).equals(sent));
		stream.end(frame(8, Buffer.from([3, 232]))); // a close of 1000, which is answered
	}
}
assert.deepEqual([...got.subarray(10 + sent.length)], [0x88, 2, 3, 232]);
session.close();
console.log('echoed');
