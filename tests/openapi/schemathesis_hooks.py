"""What schemathesis must not do: saw off the branch it sits on."""

import os

import schemathesis

OWN = os.environ["LEVEE_OWN_USER"]


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """The account it is signed in with may be read, but not changed, disabled or deleted: every later request would be
    refused."""
    reads = context.operation.method.upper() == "GET"
    return reads or OWN not in (path_parameters or {}).values()
