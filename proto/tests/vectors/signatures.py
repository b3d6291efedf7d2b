"""Makes signatures.json: protected and other records, and what hivemind 1.1.12's RSASignatureValidator says of each.

    .peers/hivemind/bin/python proto/tests/vectors/signatures.py > proto/tests/vectors/signatures.json

`valid` is the original's verdict, null where it raises. The keys are made anew at each run; only public parts are kept.
"""

import base64
import dataclasses
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hivemind.dht.crypto import RSASignatureValidator
from hivemind.dht.routing import DHTID
from hivemind.dht.validation import DHTRecord
from hivemind.utils import MSGPackSerializer
from hivemind.utils.crypto import RSAPrivateKey

dumps = MSGPackSerializer.dumps
KEY = DHTID.generate(source="protected").to_bytes()
OTHER_KEY = DHTID.generate(source="other").to_bytes()
EXPIRATION = 1795370817.5338209
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
records = []


def note(what, record):
    try:
        valid = RSASignatureValidator(judge).validate(record)
    except Exception:
        valid = None
    fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(record).items()}
    records.append({"what": what, **fields, "valid": valid})


def key_of_size(bits, exponent=65537):
    key = RSAPrivateKey()
    key._private_key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    return key


def signed_by(key, record):
    validator = RSASignatureValidator(key)
    return dataclasses.replace(record, value=validator.sign_value(record))


def owned(key, subkey=b"metrics", value=(1, 2.5, "text")):
    owner = RSASignatureValidator(key).local_public_key
    return DHTRecord(KEY, dumps(subkey + owner), dumps(value), EXPIRATION)


def with_signature(record, signature):
    return dataclasses.replace(record, value=record.value + b"[signature:" + base64.b64encode(signature) + b"]")


judge, alice, bob = RSAPrivateKey(), RSAPrivateKey(), RSAPrivateKey()
good = signed_by(alice, owned(alice))
message = dumps(dataclasses.astuple(owned(alice)))
replace = dataclasses.replace

note("unprotected", DHTRecord(KEY, dumps("subkey"), dumps(1), EXPIRATION))
note("unprotected, plain", DHTRecord(KEY, dumps(None), dumps({"a": b"b"}), EXPIRATION))
note("unprotected, with a signature that nobody asked for", replace(good, subkey=dumps("subkey")))
note("signed", good)
note("signed, str subkey", signed_by(alice, replace(good, subkey=dumps("text" + RSASignatureValidator(alice).local_public_key.decode()), value=dumps(None))))
note("signed, the owner's key alone as subkey", signed_by(alice, owned(alice, b"", {"step": 3})))
note("signed, the owner named twice", signed_by(alice, owned(alice, RSASignatureValidator(alice).local_public_key)))
note("signed, 4096 bits", (lambda k: signed_by(k, owned(k)))(key_of_size(4096)))
note("signed, 3072 bits and exponent 3", (lambda k: signed_by(k, owned(k)))(key_of_size(3072, 3)))
note("signed, an expiration that is a whole number", signed_by(alice, replace(owned(alice), expiration_time=1795370817.0)))
note("not signed", owned(alice))
note("another value", replace(good, value=good.value.replace(b"text", b"tent")))
note("another expiration", replace(good, expiration_time=EXPIRATION + 1))
note("another key", replace(good, key=OTHER_KEY))
note("another subkey", replace(good, subkey=dumps(b"other" + RSASignatureValidator(alice).local_public_key)))
note("signed by another", replace(good, value=signed_by(bob, owned(bob)).value))
note("owned by two", signed_by(alice, owned(alice, RSASignatureValidator(bob).local_public_key)))
note("signed twice", replace(good, value=good.value + good.value[good.value.index(b"[signature:") :]))
note("the signature in front", replace(good, value=good.value[len(owned(alice).value) :] + owned(alice).value))
note("an empty signature", replace(good, value=owned(alice).value + b"[signature:]"))
note("a signature that is no base64", replace(good, value=owned(alice).value + b"[signature:!]"))
note("a signature that is too short", with_signature(owned(alice), b"\x01" * 255))
note("a signature that is larger than the modulus", with_signature(owned(alice), b"\xff" * 256))
note("salt as long as the digest", with_signature(owned(alice), alice._private_key.sign(message, padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())))
note("no salt", with_signature(owned(alice), alice._private_key.sign(message, padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=0), hashes.SHA256())))
note("PKCS #1 v1.5", with_signature(owned(alice), alice._private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())))
note("SHA-512", with_signature(owned(alice), alice._private_key.sign(message, padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=padding.PSS.MAX_LENGTH), hashes.SHA512())))
note("an owner that is no key", DHTRecord(KEY, dumps(b"[owner:somebody]"), good.value, EXPIRATION))
elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
elliptic = elliptic.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
note("an owner with another kind of key", DHTRecord(KEY, dumps(b"[owner:" + elliptic + b"]"), good.value, EXPIRATION))
note("an owner across two lines", replace(good, subkey=good.subkey.replace(b"ssh-rsa ", b"ssh-rsa\n")))
note("an empty owner", DHTRecord(KEY, dumps(b"[owner:]"), dumps(1), EXPIRATION))
note("an owner in the key", DHTRecord(b"..[owner:somebody]..", dumps(None), dumps(1), EXPIRATION))
print(json.dumps(records, indent=1))
