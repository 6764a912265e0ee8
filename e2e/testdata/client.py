"""A client of http.client: client.py ADDRESS HOST TRAITS FILE. FILE is what is served as /files/large.bin.

It ends well, and names each case, when all of them went well."""

import http.client
import sys

address, host, traits, name = sys.argv[1:]
can = traits.split()
with open(name, "rb") as file:
    large = file.read()


def connect(version=11):
    c = http.client.HTTPConnection(address, timeout=30)
    c._http_vsn, c._http_vsn_str = version, "HTTP/1.%d" % (version - 10)
    return c


def ask(c, method, path, body=None, head={}, chunked=False):
    c.request(method, path, body, {"Host": host, **head}, encode_chunked=chunked)
    answer = c.getresponse()
    return answer, answer.read()


def pieces():
    for at in range(0, len(large), 100_000):
        yield large[at : at + 100_000]


def a_file():
    for version in 10, 11:
        answer, body = ask(connect(version), "GET", "/files/large.bin")
        assert answer.status == 200 and body == large, (version, answer.status, len(body))


def kept():
    """One connection for all of it."""
    c = connect()
    c.connect()
    first = c.sock
    for method, path, status, size in (
        ("GET", "/files/large.bin", 200, len(large)),
        ("HEAD", "/files/large.bin", 200, 0),
        ("GET", "/files/empty.bin", 200, 0),
        ("GET", "/files/small.txt", 200, None),
    ):
        answer, body = ask(c, method, path)
        assert answer.status == status and len(body) in (size, 1760), (method, path, answer.status, len(body))
        assert c.sock is first, "another connection after %s %s" % (method, path)
        if method == "HEAD":
            assert answer.getheader("Content-Length") == str(len(large)), answer.getheaders()


def closed():
    c = connect()
    answer, body = ask(c, "GET", "/files/small.txt", head={"Connection": "close"})
    assert answer.status == 200 and len(body) == 1760 and answer.will_close and c.sock is None


def kept_of_old():
    """HTTP/1.0 keeps a connection only by agreement."""
    c = connect(10)
    for _ in range(3):
        before = c.sock
        answer, body = ask(c, "GET", "/files/large.bin", head={"Connection": "keep-alive"})
        assert answer.status == 200 and body == large, answer.status
        assert c.sock and before in (None, c.sock), answer.getheaders()


def a_body():
    path = "/cgi-bin/echo" if "ignorant" in can else "/echo"
    for version in 10, 11:
        answer, body = ask(connect(version), "POST", path, large)
        assert answer.status == 200 and body == large, (version, answer.status, len(body))


def chunks():
    answer, body = ask(connect(), "POST", "/echo", pieces(), {"Transfer-Encoding": "chunked"}, True)
    assert answer.status == 200 and body == large, (answer.status, len(body))


def refused():
    """The answer is not lost, though http.client sends everything first."""
    answer, _ = ask(connect(), "POST", "/refuse", large[:100_000])
    assert answer.status == 413, answer.status


cases = [("", a_file), ("", kept), ("", kept_of_old), ("", closed), ("echo", a_body), ("chunked", chunks), ("refuse", refused)]
for needs, run in cases:
    if not needs or needs in can:
        run()
    print(run.__name__)
