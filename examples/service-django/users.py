from rest_framework_simplejwt.models import TokenUser


class KeyturnUser(TokenUser):
    """Who the access token speaks of: roles and permissions as they were when it was issued."""

    @property
    def is_staff(self):
        return "admin" in self.token.get("roles", ())

    is_superuser = is_staff

    def has_perm(self, perm, obj=None):
        return self.is_superuser or perm in self.token.get("permissions", ())
