"""Runs a Pulumi program in Python: run.py SETTINGS PROGRAM, where SETTINGS are pulumi.runtime.Settings as JSON.

The SDK has no command for it; the one of the official language host comes with the CLI.
"""

import asyncio
import json
import os
import runpy
import sys

import pulumi
from pulumi import runtime

# The exit status of a program that has said itself what is wrong.
HAS_SAID = 32


def main() -> int:
    settings, program = sys.argv[1:]
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(runtime.Settings(**json.loads(settings)))
    folder = program if os.path.isdir(program) else os.path.dirname(program)
    os.chdir(folder)
    sys.argv = [program]
    try:
        asyncio.run(runtime.run_in_stack(lambda: runpy.run_path(program, run_name='__main__')))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:
        pulumi.log.error(f'{type(error).__name__}: {error}')
        return HAS_SAID
    return 0


if __name__ == '__main__':
    sys.exit(main())
