# Puts the host program in place, before there is a program that could do it. No apostrophe: a shell quotes this text.
import json, os, shutil, sys
for path, file in json.load(sys.stdin).items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as new:
        new.write(file["text"])
        os.fsync(new.fileno())
    os.chmod(path + ".new", int(file["mode"], 8))
    shutil.chown(path + ".new", *file["owner"].split(":"))
    os.replace(path + ".new", path)
