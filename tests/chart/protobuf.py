"""Reads the one message that Helm sends in Kubernetes' protobuf: a Secret, in which it keeps a release.

Field numbers are those of k8s.io/api/core/v1/generated.proto and k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto.
"""

import base64

MAGIC = b"k8s\x00"


def fields(raw):
    """Number and value of each field of a message."""
    at = 0
    while at < len(raw):
        tag, at = varint(raw, at)
        if tag & 7 == 0:
            value, at = varint(raw, at)
        elif tag & 7 == 2:
            size, at = varint(raw, at)
            value, at = raw[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def varint(raw, at):
    """A number and where it ends."""
    value = shift = 0
    while True:
        byte, at = raw[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def pairs(message, number):
    """A map field: keys are text, values bytes."""
    entries = (dict(fields(value)) for of, value in fields(message) if of == number)
    return {entry[1].decode(): entry.get(2, b"") for entry in entries}


def secret(raw):
    """The Secret in an envelope, as JSON has it."""
    envelope = dict(fields(raw.removeprefix(MAGIC)))
    kind = dict(fields(envelope[1]))
    if kind[2] != b"Secret":
        return {}
    message = envelope[2]
    whole = dict(fields(message))
    meta = dict(fields(whole[1]))
    texts = {"name": meta.get(1), "namespace": meta.get(3), "resourceVersion": meta.get(6), "uid": meta.get(5)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": whole.get(3, b"Opaque").decode(),
        "metadata": {key: text.decode() for key, text in texts.items() if text} | {
            "labels": {key: value.decode() for key, value in pairs(whole[1], 11).items()},
        },
        "data": {key: base64.b64encode(value).decode() for key, value in pairs(message, 2).items()},
    }
