"""The lab's moto server: moto with missing EKS operations and corrections.

`python -m lab.aws.server --url-file FILE --kubeconfig FILE`: takes a free port and writes its URL. It runs in
the foreground, with all state in memory only.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from lab.aws.listening import announce


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--address", default="127.0.0.1", help="the address to advertise")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--url-file", type=Path, required=True, help="where to write the URL")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="the cluster behind EKS, if it exists")
    arguments = parser.parse_args()
    # Read when moto is imported: AWS's managed policies, which node roles use.
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    from lab.aws import bucket_policies, placement_groups, resource_types, s3
    from lab.aws.eks.install import install

    install(arguments.kubeconfig)
    placement_groups.install()
    s3.install()
    bucket_policies.install()
    resource_types.install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        arguments.bind, arguments.port, application, threaded=True, request_handler=MotoRequestHandler
    )
    announce(arguments.url_file, arguments.address, server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
