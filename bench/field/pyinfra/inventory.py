import json
import os
import pathlib

kit = pathlib.Path(os.environ["KIT"])
address = json.loads((kit / "vars.json").read_text())["address"]

mail = [
    (
        address,
        {
            "ssh_user": "root",
            "ssh_key": str(kit / "key"),
            "ssh_known_hosts_file": str(kit / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            # A machine that boots refuses connections for a while.
            "ssh_connect_retries": 100,
            "ssh_connect_retry_min_delay": 0.2,
            "ssh_connect_retry_max_delay": 1,
        },
    )
]
