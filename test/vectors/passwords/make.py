"""Makes one half of django.json: run once with each Django, see README.md beside this file.

    python make.py pbkdf2_sha256 pbkdf2_sha1 scrypt    # Django 4.2, nothing else
    python make.py argon2 bcrypt_sha256 bcrypt raw     # Django 3.2 with argon2-cffi and bcrypt
"""
import json
import sys

import django
from django.conf import settings

base = "django.contrib.auth.hashers."
names = ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "Argon2PasswordHasher", "BCryptSHA256PasswordHasher",
         "BCryptPasswordHasher"] + (["ScryptPasswordHasher"] if django.VERSION >= (4,) else [])
settings.configure(PASSWORD_HASHERS=[base + name for name in names])
django.setup()

from django.contrib.auth.hashers import check_password, get_hasher, make_password  # noqa: E402

PASSWORDS = ["correct horse battery", "pässwörd mit ümlauten", "cafe\u0301 au lait s'il vous plai\u0302t", "short",
             "x" * 100]


def entry(scheme, password, encoded):
    return {"scheme": scheme, "password": password, "encoded": encoded}


def raw():
    """What other systems keep as it stands."""
    import argon2.low_level as low
    import bcrypt

    for prefix in (b"2a", b"2b", b"2y"):
        salt = bcrypt.gensalt(5).replace(b"$2b$", b"$" + prefix + b"$")
        yield entry("bcrypt", PASSWORDS[1], bcrypt.hashpw(PASSWORDS[1].encode(), salt).decode())
    for name, kind in (("argon2i", low.Type.I), ("argon2id", low.Type.ID)):
        encoded = low.hash_secret(PASSWORDS[2].encode(), b"saltsaltsaltsalt", 3, 4096, 2, 32, kind).decode()
        assert check_password(PASSWORDS[2], "argon2" + encoded)
        yield entry(name, PASSWORDS[2], "argon2" + encoded)


def django_strings(scheme):
    for at, password in enumerate(PASSWORDS):
        hasher = get_hasher(scheme)
        # The first as Django makes it; the others cheaper, so that a test takes no minute.
        if at > 0 and hasattr(hasher, "iterations"):
            encoded = hasher.encode(password, hasher.salt(), 1000 * at)
        elif at > 0 and hasattr(hasher, "rounds"):
            hasher.rounds = 4
            encoded = hasher.encode(password, hasher.salt())
        else:
            encoded = make_password(password, hasher=scheme)
        assert check_password(password, encoded)
        yield entry({"argon2": "argon2id"}.get(scheme, scheme), password, encoded)


made = [one for name in sys.argv[1:] for one in (raw() if name == "raw" else django_strings(name))]
json.dump({"django": django.get_version(), "vectors": made}, sys.stdout, indent=2, ensure_ascii=True)
