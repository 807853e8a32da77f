import base64
import json

from answer import KeySet, algorithm, answer, audience, issuer
from authlib.jose import JsonWebKey, JsonWebToken

keys = KeySet()
options = {
    "iss": {"essential": True, "value": issuer},
    "aud": {"essential": True, "value": audience},
    "exp": {"essential": True},
    "sub": {"essential": True},
}


def judge(token):
    head = token.split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))).get("kid")
    known = JsonWebKey.import_key_set(json.loads(keys.knowing(kid)))
    claims = JsonWebToken([algorithm]).decode(token, known, claims_options=options)
    claims.validate(leeway=0)
    return claims


answer(judge)
