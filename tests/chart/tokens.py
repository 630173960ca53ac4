"""Tokens of service accounts, as the API server of a cluster makes them for `kubectl create token`.

The secret of the key is 1, and so is the nonce of every signature. So the public key is the generator of P-256, and signing takes no
arithmetic on the curve: for tests only.
"""

import base64
import hashlib
import json
import time

ISSUER = "https://kubernetes.default.svc"
KEY = {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "here", "crv": "P-256",
       "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def encoded(raw):
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signature(message):
    """ECDSA over P-256 (FIPS 186-5): with secret and nonce 1, r is the generator's x and s is the digest plus r."""
    r = int.from_bytes(base64.urlsafe_b64decode(KEY["x"] + "=")) % ORDER
    digest = int.from_bytes(hashlib.sha256(message.encode()).digest())
    return r.to_bytes(32) + ((digest + r) % ORDER).to_bytes(32)


def request(namespace, account):
    """The answer to a TokenRequest: for Levee and ten minutes, whatever was asked for."""
    now = int(time.time())
    head = {"alg": "ES256", "kid": KEY["kid"]}
    claims = {
        "iss": ISSUER, "aud": ["levee"], "sub": f"system:serviceaccount:{namespace}:{account}", "iat": now, "nbf": now, "exp": now + 600,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": account}},
    }
    message = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    return {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {"name": account, "namespace": namespace},
        "spec": {"audiences": ["levee"], "expirationSeconds": 600},
        "status": {"token": f"{message}.{encoded(signature(message))}", "expirationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 600))},
    }
