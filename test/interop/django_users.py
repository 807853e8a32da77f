"""Users of a real Django, in a database in the folder that is its argument, and what people export of them.

Writes there users.json and natural.json (`dumpdata`, without and with natural keys) and auth_user.csv (as psql's
`\\copy auth_user to … csv header`), and prints what Django itself says of each user.
"""
import base64
import hashlib
import json
import os
import sys
import warnings
from datetime import datetime, timezone

import django
from django.conf import settings
from django.core.management import call_command

folder = sys.argv[1]
hashers = [
    "PBKDF2PasswordHasher",
    "PBKDF2SHA1PasswordHasher",
    "Argon2PasswordHasher",
    "BCryptSHA256PasswordHasher",
    "BCryptPasswordHasher",
]
if django.VERSION >= (4, 0):
    hashers.append("ScryptPasswordHasher")

settings.configure(
    SECRET_KEY="of a test",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder, "django.sqlite3")}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework.authtoken"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers." + name for name in hashers],
    USE_TZ=True,
)
django.setup()
warnings.simplefilter("error")

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from rest_framework.authtoken.models import Token

call_command("migrate", verbosity=0)


def scrypt(password):
    """As Django writes it from 4.0 on, where this one is older."""
    if django.VERSION >= (4, 0):
        return make_password(password, hasher="scrypt")
    n, r, p, salt = 2**14, 8, 1, "pXHzYTf2kKoFV8C3aYjD0e"
    key = hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=r, p=p, maxmem=2**26, dklen=64)
    return "scrypt$%d$%s$%d$%d$%s" % (n, salt, r, p, base64.b64encode(key).decode())


articles = ContentType.objects.create(app_label="articles", model="article")


def permission(codename):
    return Permission.objects.create(codename=codename, name="Can " + codename, content_type=articles)


change, view, publish, delete = map(
    permission, ["change_article", "view_article", "publish_article", "delete_article"]
)
editors = Group.objects.create(name="editors")
editors.permissions.set([change, view])
publishers = Group.objects.create(name="publishers")
publishers.permissions.set([publish, view])
Group.objects.create(name="empty")

people = []


def person(username, password, stored=None, hasher="pbkdf2_sha256", token=False, groups=(), permissions=(), **fields):
    user = User(username=username, password=stored or make_password(password, hasher=hasher), **fields)
    user.save()
    user.groups.set(groups)
    user.user_permissions.set(permissions)
    people.append((user, password, Token.objects.create(user=user).key if token else None))


person("pbkdf2_sha256", "correct horse battery", email="ada@example.com", first_name='Ada, "Countess"', last_name="L\nB")
person("pbkdf2_sha1", "short1", hasher="pbkdf2_sha1", last_login=datetime(2024, 5, 6, 7, 8, 9, 12, timezone.utc))
person("argon2", "zażółć gęślą jaźń", hasher="argon2", email="argon2@Example.com")
# Longer than the 72 bytes that bcrypt itself looks at.
person("bcrypt_sha256", "x" * 80 + "battery", hasher="bcrypt_sha256")
person("bcrypt", "pass$word$ with dollars", hasher="bcrypt")
person("scrypt", "correct horse staple", stored=scrypt("correct horse staple"))
person("żółw.müller@+-", "correct horse battery", email="")
person("inactive", "correct horse battery", is_active=False)
person("unusable", None, token=True)
person("staff", "correct horse battery", is_staff=True)
person("root", "correct horse battery", is_staff=True, is_superuser=True)
person("editor", "correct horse battery", groups=[editors], token=True)
person("chief", "correct horse battery", groups=[editors, publishers], permissions=[delete, view], is_staff=True)


def copied(value):
    """A field as Postgres copies it: null is nothing at all, and an empty text is in quotes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").replace("+00:00", "+00")
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if text == "" or set(text) & set(',"\r\n') else text


columns = [field.column for field in User._meta.concrete_fields]
with open(os.path.join(folder, "auth_user.csv"), "w", encoding="utf-8", newline="") as file:
    file.write(",".join(columns) + "\n")
    for row in User.objects.order_by("id").values_list(*columns):
        file.write(",".join(map(copied, row)) + "\n")

apps = ["contenttypes", "auth", "authtoken"]
call_command("dumpdata", *apps, output=os.path.join(folder, "users.json"), verbosity=0)
call_command("dumpdata", *apps, natural_foreign=True, output=os.path.join(folder, "natural.json"), verbosity=0)

print(
    json.dumps(
        [
            {
                "username": user.username,
                "password": password,
                "stored": user.password,
                "right": password is not None and user.check_password(password),
                "active": user.is_active,
                "staff": user.is_staff,
                "superuser": user.is_superuser,
                # A superuser has all that there are, whether it was given them or not.
                "permissions": [] if user.is_superuser else sorted(user.get_all_permissions()),
                "authtoken": key,
            }
            for user, password, key in people
        ]
    )
)
