# Puts the host program in place, before there is a program that could do it. No apostrophe: a shell quotes this text.
import hashlib
import json
import os
import shutil
import sys

PLAN = "/var/lib/mailhost/plan/program.json"

files = json.load(sys.stdin)
for path, file in files.items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as new:
        new.write(file["text"])
        os.fsync(new.fileno())
    os.chmod(path + ".new", int(file["mode"], 8))
    shutil.chown(path + ".new", *file["owner"].split(":"))
# Once all are there: a timer may start the program at any moment, and would find modules of two versions.
for path in files:
    os.replace(path + ".new", path)
if os.path.exists(PLAN):
    with open(PLAN) as plan:
        for path in json.load(plan).keys() - files.keys():
            if os.path.exists(path):
                os.unlink(path)
planned = {
    path: {"mode": file["mode"], "owner": file["owner"], "sha256": hashlib.sha256(file["text"].encode()).hexdigest()}
    for path, file in files.items()
}
os.makedirs(os.path.dirname(PLAN), exist_ok=True)
with open(PLAN, "w") as plan:
    json.dump(planned, plan)
