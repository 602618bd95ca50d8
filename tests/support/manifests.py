"""The manifests for Kubernetes, and what is in them."""

from deployed import DEPLOY, all_loaded

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def objects():
    """Return the objects of all manifests."""
    return [o for path in MANIFESTS for o in all_loaded(path.read_text())]


def of_kind(kind):
    """Return the objects of a kind by name."""
    return {o["metadata"]["name"]: o for o in objects() if o["kind"] == kind}


def workers():
    """Return the set of workers as it is, without the patch of those that have a GPU."""
    text = (DEPLOY / "kubernetes" / "score.yaml").read_text()
    return next(o for o in all_loaded(text) if o["kind"] == "StatefulSet")
