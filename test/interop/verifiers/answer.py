"""How a verifier in Python is asked: what it is told, and each line of its input."""
import json
import sys
import urllib.request

issuer, audience, algorithm = sys.argv[1:4]
_metadata = None


def fetch(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


def discover():
    """What the issuer says of itself, asked for once (RFC 8414 section 3.3)."""
    global _metadata
    if _metadata is None:
        found = json.loads(fetch(issuer + "/.well-known/openid-configuration"))
        if found["issuer"] != issuer:
            raise ValueError("the metadata is another issuer's")
        _metadata = found
    return _metadata


class KeySet:
    """For libraries that fetch nothing: the set as text, asked for once, and again for a key that is not in it."""

    def __init__(self):
        self.text = None

    def knowing(self, kid):
        if self.text is None or not self._has(kid):
            self.text = fetch(discover()["jwks_uri"])
        return self.text

    def _has(self, kid):
        return any(key["kid"] == kid for key in json.loads(self.text)["keys"])


def answer(judge):
    """`judge` gives the claims of a token, or raises."""
    for line in sys.stdin:
        try:
            said = {"sub": str(judge(json.loads(line)["token"])["sub"])}
        except Exception as error:
            said = {"refused": type(error).__name__ + ": " + str(error)}
        print(json.dumps(said), flush=True)
