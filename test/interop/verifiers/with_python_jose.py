import json

from answer import KeySet, algorithm, answer, audience, issuer
from jose import jwt

keys = KeySet()


def judge(token):
    known = json.loads(keys.knowing(jwt.get_unverified_header(token).get("kid")))
    return jwt.decode(token, known, algorithms=[algorithm], audience=audience, issuer=issuer)


answer(judge)
