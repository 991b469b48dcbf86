"""The nginx image: Debian's nginx as an unprivileged user, its root file system read-only.

It listens on 8080 and writes only below /tmp (mount an emptyDir there) and to its standard output.
Server blocks go to /etc/nginx/conf.d/*.conf; mounting another /etc/nginx/nginx.conf replaces all of it.
"""

from __future__ import annotations

from pathlib import Path

from e2e.images.debs import base_files, unpack
from e2e.images.oci import Entry, File, Image, write_archive

_PACKAGES = ("nginx",)
# iproute2 and the others are dependencies of nginx's maintainer scripts only.
_WITHOUT = ("iproute2", "libbpf*", "libcap2*", "libelf*", "libmnl*", "libtirpc*", "libxtables*", "libbsd*", "libdb*")
_WITHOUT_KERBEROS = ("libgssapi*", "libk5crypto*", "libkrb5*", "libkeyutils*", "libcom-err*", "libselinux*", "libmd0")

CONFIGURATION = """\
# The user is the container's; a master that is not root could not change it anyway.
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;

events {
    worker_connections 4096;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    server_tokens off;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    include /etc/nginx/conf.d/*.conf;
}
"""

_DEFAULT_SERVER = """\
server {
    listen 8080 default_server;
    location = /healthz {
        return 200 "ok\\n";
    }
}
"""


def fingerprint() -> str:
    """Changes when the image would, but for newer Debian packages."""
    return Path(__file__).read_text()


def build(destination: Path) -> Image:
    """Fetch the packages and write the archive."""
    files: dict[str, Entry] = {
        **unpack(_PACKAGES, without=(*_WITHOUT, *_WITHOUT_KERBEROS)),
        **base_files(),
        "etc/nginx/nginx.conf": File(CONFIGURATION.encode()),
        "etc/nginx/conf.d/default.conf": File(_DEFAULT_SERVER.encode()),
    }
    return write_archive(
        destination,
        name="nginx",
        layers=[files],
        entrypoint=["/usr/sbin/nginx"],
        # -e: until it has read its configuration, nginx would write to a log file compiled in. -g, not the
        # configuration: a configuration mounted in its place must not send it to the background.
        command=["-e", "/dev/stderr", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
        environment={"PATH": "/usr/sbin:/usr/bin"},
    )
