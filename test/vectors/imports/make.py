"""Makes the files django*.json and django.jsonl beside it with a real Django (4.2) and rest_framework.authtoken.

    python make.py
"""
import io
import json
import pathlib
from datetime import datetime, timezone

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework.authtoken"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True,
    PASSWORD_HASHERS=["django.contrib.auth.hashers." + name for name in
                      ("PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "ScryptPasswordHasher", "MD5PasswordHasher")],
)
django.setup()

from django.contrib.auth.hashers import get_hasher, make_password  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

call_command("migrate", verbosity=0)
here = pathlib.Path(__file__).parent
bcrypt = next(one["encoded"] for half in json.loads((here / "../passwords/django.json").read_text())
              for one in half["vectors"]
              if one["scheme"] == "bcrypt_sha256" and one["password"] == "correct horse battery")


def hashed(scheme):
    hasher = get_hasher(scheme)
    return hasher.encode("correct horse battery", hasher.salt(), *([2000] if scheme.startswith("pbkdf2") else []))


def group(name, *codenames):
    made = Group.objects.create(name=name)
    made.permissions.set(Permission.objects.filter(codename__in=codenames))
    return made


editors, shouting, quiet, bosses, chinese = (
    group("Éditeurs en chef", "change_group", "view_group"), group("Support", "view_user"),
    group("support", "delete_user"), group("Admin", "add_user", "change_user"), group("编辑"))


def user(name, password, groups=(), permissions=(), token=False, **fields):
    made = User.objects.create(username=name, password=password,
                               date_joined=datetime(2021, 3, 4, 5, 6, 7, 890000, timezone.utc), **fields)
    made.groups.set(groups)
    made.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if token:
        Token.objects.create(user=made)


user("root", make_password("correct horse battery"), is_superuser=True, is_staff=True, email="root@example.com",
     token=True, last_login=datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc))
user("ada", hashed("pbkdf2_sha1"), [editors, chinese], ["add_token"], token=True, is_staff=True, email="Ada@Example.com")
user("grace", hashed("scrypt"), [shouting], first_name='Grace "Amazing"\nBrewster, Murray')
user("barbara", bcrypt, [quiet, bosses])
user("linus", hashed("pbkdf2_sha256"), is_active=False, token=True)
user("nopass", make_password(None), email="nopass@example.com")
user("oldtimer", make_password("correct horse battery", hasher="md5"))
user("ADA", hashed("pbkdf2_sha256"), email="other@example.com")
user("wrongmail", hashed("pbkdf2_sha256"), email="not an address", token=True)
user("zoë", hashed("pbkdf2_sha256"))

models = ["contenttypes", "auth", "authtoken"]


def dump(name, **options):
    out = io.StringIO()
    call_command("dumpdata", *models, stdout=out, **options)
    (here / name).write_text(out.getvalue())
    return out.getvalue()


everything = json.loads(dump("django.json", indent=1))
dump("django-natural.json", indent=1, use_natural_foreign_keys=True, use_natural_primary_keys=True)
dump("django.jsonl", format="jsonl", use_natural_foreign_keys=True)
# What is referred to may also come after what refers to it.
(here / "django-reversed.json").write_text(json.dumps(everything[::-1]))
