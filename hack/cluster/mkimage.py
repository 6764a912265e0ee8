#!/usr/bin/env python3
"""mkimage.py NAME:TAG BINARY OUT.tar: an OCI image archive of one layer that holds one static binary.

The entrypoint is /ko-app/<name of the binary>, the user 65532, as in images that ko builds.
"""
import hashlib
import io
import json
import os
import sys
import tarfile

ACCOUNTS = {
    "etc/passwd": b"root:x:0:0::/:/none\nnonroot:x:65532:65532::/tmp:/none\n",
    "etc/group": b"nonroot:x:65532:\n",
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(tar, name, content, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def layer(entrypoint, binary):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("tmp", "etc", "ko-app", "var", "var/run", "dev", "proc", "sys"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(info)
        for name, content in ACCOUNTS.items():
            add(tar, name, content)
        with open(binary, "rb") as f:
            add(tar, entrypoint[1:], f.read(), 0o755)
    return out.getvalue()


def digest(blob):
    return hashlib.sha256(blob).hexdigest()


def main(reference, binary, out):
    blobs = {}

    def blob(content, media_type):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        sha = digest(content)
        blobs["blobs/sha256/" + sha] = content
        return {"mediaType": media_type, "digest": "sha256:" + sha, "size": len(content)}

    entrypoint = "/ko-app/" + os.path.basename(binary)
    files = layer(entrypoint, binary)
    oci = "application/vnd.oci.image."
    config = blob({
        "architecture": ARCHITECTURES[os.uname().machine], "os": "linux",
        "config": {"User": "65532", "Entrypoint": [entrypoint], "Env": ["PATH=/ko-app"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(files)]},
    }, oci + "config.v1+json")
    manifest = blob({
        "schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
        "config": config, "layers": [blob(files, oci + "layer.v1.tar")],
    }, oci + "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    with tarfile.open(out, "w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        for name, content in blobs.items():
            add(tar, name, content)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
