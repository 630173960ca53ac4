"""An API server for Helm, kubectl and Levee in this process, with as much of a cluster behind it as an install needs.

Objects are kept as they are sent. Deployments, Jobs and Pods are run by kubelet.py. A request with a service account's token is
judged by the Roles and bindings that lie in the store, and noted; others are the administrator's. Nothing is validated: the
schemas are the business of test_rendering.py.
"""

import copy
import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

import chart
import protobuf
import tokens
from kubelet import Pod

# group/version: the kinds it has, `!` where they belong to no namespace.
KINDS = {
    "v1": "ConfigMap Secret Service ServiceAccount Pod PersistentVolumeClaim Event !Namespace !Node Endpoints ReplicationController",
    "apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision",
    "batch/v1": "Job CronJob",
    "policy/v1": "PodDisruptionBudget",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "networking.k8s.io/v1": "NetworkPolicy Ingress",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding !ClusterRole !ClusterRoleBinding",
    "coordination.k8s.io/v1": "Lease",
    "apiextensions.k8s.io/v1": "!CustomResourceDefinition",
    "monitoring.coreos.com/v1": "ServiceMonitor PodMonitor PrometheusRule",
    "gateway.networking.k8s.io/v1": "HTTPRoute",
}
SHORT = {"persistentvolumeclaims": ["pvc"], "configmaps": ["cm"], "services": ["svc"], "deployments": ["deploy"], "namespaces": ["ns"], "customresourcedefinitions": ["crd"]}
VERBS = "create delete deletecollection get list patch update watch".split()


def plural(kind):
    """As Kubernetes names the resource of a kind."""
    name = kind.lower()
    return name[:-1] + "ies" if name.endswith("cy") else name + "es" if name.endswith("ss") else name if name == "endpoints" else name + "s"


class Fault(Exception):
    """An answer other than the thing asked for."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}


def merged(old, new):
    """JSON merge patch (RFC 7396)."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        return copy.deepcopy(new)
    whole = {key: value for key, value in old.items() if key not in new}
    for key, value in new.items():
        if value is not None:
            whole[key] = merged(old.get(key), value) if isinstance(value, dict) else copy.deepcopy(value)
    return whole


class Cluster:
    """A running API server. `secrets` of the namespace `levee` are there from the start."""

    def __init__(self, folder, secrets=()):
        self.folder, self.lock, self.version = Path(folder), threading.Condition(), 1
        self.kinds = {}
        for group, kinds in KINDS.items():
            for kind in kinds.split():
                self.define(group, kind.lstrip("!"), plural(kind.lstrip("!")), not kind.startswith("!"))
        self.objects, self.changes, self.asked, self.refused, self.running, self.stopped, self.outputs = {}, [], [], [], {}, {}, {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        for name in ("default", "kube-system", "levee"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name, data in dict(secrets).items():
            self.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "levee"}, "stringData": data})
        self.kubeconfig = self.write_kubeconfig("admin", None)

    def write_kubeconfig(self, name, account):
        """A kubeconfig for the administrator, or for a service account of the namespace `levee`."""
        user = {"token": f"{account}"} if account else {}
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": name, "namespace": "levee"}}],
        }))
        return file

    def define(self, group, kind, resource, namespaced):
        """Makes a kind known."""
        self.kinds[(group, resource)] = {"kind": kind, "namespaced": namespaced}

    def key(self, document):
        """Where an object is kept."""
        group = document["apiVersion"]
        resource = next(name for (of, name), it in self.kinds.items() if of == group and it["kind"] == document["kind"])
        namespaced = self.kinds[(group, resource)]["namespaced"]
        return group, resource, document["metadata"].get("namespace", "default") if namespaced else "", document["metadata"]["name"]

    def put(self, document, event=None):
        """Keeps a version of an object and tells the watches."""
        with self.lock:
            key, document = self.key(document), copy.deepcopy(document)
            old = self.objects.get(key)
            meta = document["metadata"]
            meta.setdefault("uid", old["metadata"]["uid"] if old else str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            changed = not old or old.get("spec") != document.get("spec")
            meta["generation"] = (old["metadata"].get("generation", 0) if old else 0) + changed
            if old and {**old, "metadata": {**old["metadata"], "resourceVersion": ""}} == {**document, "metadata": {**meta, "resourceVersion": ""}}:
                return old
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            self.objects[key] = document
            self.changes.append((self.version, key, event or ("MODIFIED" if old else "ADDED"), copy.deepcopy(document)))
            self.lock.notify_all()
        self.act(key, document, old)
        return document

    def remove(self, key):
        """Forgets an object."""
        with self.lock:
            document = self.objects.pop(key, None)
            if document is None:
                raise Fault(404, "NotFound", f"{key[1]} {key[3]!r} not found")
            self.version += 1
            self.changes.append((self.version, key, "DELETED", copy.deepcopy(document)))
            self.lock.notify_all()
        if key[1] in ("deployments", "pods", "jobs"):
            self.stop(key)
        if key[1] == "namespaces":
            for inside in [other for other in self.objects if other[2] == key[3]]:
                self.remove(inside)
        if key[1] == "customresourcedefinitions":
            spec = document["spec"]
            for inside in [other for other in self.objects if other[1] == spec["names"]["plural"]]:
                self.remove(inside)
        return document

    def act(self, key, document, old):
        """What the cluster's controllers would do about a new version."""
        resource = key[1]
        if resource == "customresourcedefinitions":
            self.establish(document)
        elif resource == "persistentvolumeclaims" and not document.get("status"):
            self.put({**document, "status": {"phase": "Bound"}})
        elif resource == "configmaps" and old:
            for pod in [pod for of, pod in list(self.running.items()) if of[2] == key[2]]:
                for volume in pod.spec.get("volumes", []):
                    if volume.get("configMap", {}).get("name") == key[3]:
                        pod.swap(pod.volumes[volume["name"]], document.get("data") or {})
        elif resource in ("deployments", "jobs", "pods") and (not old or old.get("spec") != document.get("spec")):
            threading.Thread(target=self.run, args=(key, document), daemon=True).start()

    def establish(self, definition):
        spec = definition["spec"]
        for version in spec["versions"]:
            self.define(f"{spec['group']}/{version['name']}", spec["names"]["kind"], spec["names"]["plural"], spec["scope"] == "Namespaced")
        accepted = [{"type": kind, "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"} for kind in ("NamesAccepted", "Established")]
        if not definition.get("status"):
            self.put({**definition, "status": {"acceptedNames": spec["names"], "conditions": accepted, "storedVersions": [spec["versions"][0]["name"]]}})

    def run(self, key, document):
        """Runs the pod of a Deployment, a Job or a Pod, and says in its status how that went."""
        group, resource, namespace, name = key
        spec = document["spec"] if resource == "pods" else document["spec"]["template"]["spec"]
        if not str(spec["containers"][0]["image"]).split("/")[-1].startswith("levee"):
            return self.report(key, resource, True)
        self.stop(key)
        folder = self.folder / f"{resource}-{name}-{self.version}"
        folder.mkdir()
        try:
            token = any("serviceAccountToken" in source for volume in spec.get("volumes", []) for source in volume.get("projected", {}).get("sources", []))
            more = {"KUBECONFIG": str(self.write_kubeconfig(name, spec["serviceAccountName"]))} if token else {}
            pod = Pod(folder, self.in_namespace(namespace), spec, {}, more, self.addresses())
            if resource == "deployments":
                pod.start()
                self.running[key] = pod
                while pod.process.poll() is None and pod.probe("readiness") != 200:
                    time.sleep(0.05)
                if pod.process.poll() is not None:
                    self.outputs[name] = pod.told()
                self.report(key, resource, pod.process.poll() is None)
            else:
                done = pod.run(spec["containers"][0])
                self.outputs[name] = done
                self.report(key, resource, done.returncode == 0)
        except (AssertionError, KeyError, OSError) as error:
            self.outputs[name] = error
            self.report(key, resource, False)

    def in_namespace(self, namespace):
        """The ConfigMaps and Secrets that its pods can mount."""
        return [document for (_, resource, of, _), document in self.objects.items() if of == namespace and resource in ("configmaps", "secrets")]

    def addresses(self):
        """`service.namespace:port` of the Services whose pod runs, and where that is found."""
        found = {}
        for (_, resource, namespace, name), service in list(self.objects.items()):
            if resource != "services":
                continue
            for (_, _, of, _), pod in list(self.running.items()):
                for port in service["spec"]["ports"] if of == namespace else []:
                    if port["targetPort"] in pod.ports:
                        found[f"{name}.{namespace}:{port['port']}"] = f"127.0.0.1:{pod.ports[port['targetPort']]}"
        return found

    def report(self, key, resource, good):
        """The status that the kubelet and the controllers would come to."""
        now, state = "2026-01-01T00:00:00Z", "True" if good else "False"
        with self.lock:
            document = copy.deepcopy(self.objects.get(key))
        if not document:
            return
        if resource == "deployments":
            count = document["spec"].get("replicas", 1)
            conditions = [{"type": "Available", "status": state, "reason": "Ran"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
            counts = {name: count for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")} if good else {}
            document["status"] = {"observedGeneration": document["metadata"]["generation"], "conditions": conditions, **counts}
        elif resource == "jobs":
            document["status"] = {"conditions": [{"type": "Complete" if good else "Failed", "status": "True", "lastTransitionTime": now}], "succeeded" if good else "failed": 1}
        else:
            document["status"] = {"phase": "Succeeded" if good else "Failed"}
        self.put(document)

    def stop(self, key):
        """Ends what runs for an object; a Deployment's pod as a kubelet would."""
        pod = self.running.pop(key, None)
        if pod and pod.process.poll() is None:
            self.stopped.setdefault(key[3], []).append(pod.stop())

    def close(self):
        """Ends everything."""
        for pod in self.running.values():
            pod.process.kill()
            pod.process.wait()
        self.server.shutdown()

    # Requests.

    def allowed(self, account, verb, group, resource, namespace):
        """Whether the Roles say so. `group` is without its version."""
        for (_, binding, of, _), document in list(self.objects.items()):
            if binding not in ("rolebindings", "clusterrolebindings") or (of and of != namespace):
                continue
            if not any(subject["kind"] == "ServiceAccount" and subject["name"] == account for subject in document["subjects"]):
                continue
            reference = document["roleRef"]
            role = self.objects.get(("rbac.authorization.k8s.io/v1", plural(reference["kind"]), of if reference["kind"] == "Role" else "", reference["name"]))
            for rule in role["rules"] if role else []:
                if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
                    return True
        return False

    def judge(self, account, verb, group, resource, namespace):
        """Refuses what a service account may not."""
        group = group.split("/")[0] if "/" in group else ""
        self.asked.append((group, resource, verb, namespace))
        if not self.allowed(account, verb, group, resource, namespace):
            self.refused.append(self.asked.pop())
            raise Fault(403, "Forbidden", f"{resource} is forbidden: {account} cannot {verb} {group}/{resource} in {namespace!r}")

    def discovery(self, path):
        """The lists of groups, versions and kinds."""
        groups = sorted({group for group, _ in self.kinds if "/" in group})
        if path == "/version":
            return {"major": "1", "minor": "37", "gitVersion": "v1.37.1"}
        if path == "/.well-known/openid-configuration":
            return {"issuer": tokens.ISSUER, "jwks_uri": f"{self.url}/openid/v1/jwks", "id_token_signing_alg_values_supported": ["ES256"]}
        if path == "/openid/v1/jwks":
            return {"keys": [tokens.KEY]}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            versions = [{"groupVersion": group, "version": group.split("/")[1]} for group in groups]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": group.split("/")[0], "versions": [version], "preferredVersion": version} for group, version in zip(groups, versions)]}
        group = path.removeprefix("/apis/").removeprefix("/api/")
        found = [
            {"name": resource + part, "singularName": it["kind"].lower(), "shortNames": SHORT.get(resource + part, []), "kind": it["kind"], "namespaced": it["namespaced"], "verbs": VERBS}
            for (of, resource), it in self.kinds.items() if of == group for part in ("", "/status")
        ]
        if not found:
            raise Fault(404, "NotFound", f"no group {group}")
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": found}

    def openapi(self, path):
        """As much as clients look up before they leave validation to the server: that a patch takes `fieldValidation`."""
        groups = {("apis/" if "/" in group else "api/") + group: group for group, _ in self.kinds}
        if path == "/openapi/v3":
            return {"paths": {at: {"serverRelativeURL": f"/openapi/v3/{at}"} for at in groups}}
        group = groups.get(path.removeprefix("/openapi/v3/"))
        if not group:
            raise Fault(404, "NotFound", "no such document")
        paths = {}
        for resource, it in ((resource, it) for (of, resource), it in self.kinds.items() if of == group):
            kind = dict(zip(("version", "group"), reversed(group.split("/")), strict=False), kind=it["kind"])
            patch = {"parameters": [{"name": "fieldValidation", "in": "query"}], "responses": {}, "x-kubernetes-group-version-kind": {"group": "", **kind}}
            paths[f"/{resource}"] = {"patch": patch}
        return {"openapi": "3.0.0", "info": {"title": "here", "version": "1"}, "paths": paths}

    def listed(self, group, resource, namespace, query):
        """The objects of a kind, by name and labels."""
        wanted = dict(part.split("=", 1) for part in query.get("fieldSelector", [""])[0].split(",") if "=" in part and "!=" not in part)
        return [document for key, document in self.objects.items()
                if key[:2] == (group, resource) and namespace in ("", key[2]) and matches(document, wanted, query)]


def scale(document):
    """The subresource by which replicas are set."""
    meta = {key: document["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {"replicas": document["spec"].get("replicas", 1)}}


def matches(document, wanted, query):
    """Field selectors on names, and label selectors of `=` and `in`."""
    meta = document["metadata"]
    if wanted.get("metadata.name", meta["name"]) != meta["name"] or wanted.get("metadata.namespace", meta.get("namespace")) != meta.get("namespace"):
        return False
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", query.get("labelSelector", [""])[0]):
        key, values = re.match(r"([^=! ]+)(?:=+(.*)| in \((.*)\))?$", part).group(1), re.findall(r"(?:=|\(|,)([^=,()]+)", part)
        if values and meta.get("labels", {}).get(key) not in values:
            return False
    return True


PATH = re.compile(r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]+))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$")


def handler(cluster):
    """The connections' class."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words):
            pass

        def answer(self, document, code=200):
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if raw.startswith(protobuf.MAGIC):
                return protobuf.secret(raw)
            return yaml.safe_load(raw) if raw else {}

        def serve(self):
            try:
                self.route()
            except Fault as fault:
                self.answer(fault.status, fault.status["code"])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        def route(self):
            split = urlsplit(self.path)
            query, found = parse_qs(split.query), PATH.match(split.path)
            sent = self.body()
            if split.path.startswith("/openapi"):
                return self.answer(cluster.openapi(split.path))
            if not found or split.path.count("/") < 3 or (split.path.startswith("/apis/") and split.path.count("/") < 4):
                return self.answer(cluster.discovery(split.path))
            group, namespace = found["core"] or found["group"], found["namespace"] or ""
            resource, name, part = found["resource"], found["name"], found["part"]
            if (group, resource) not in cluster.kinds:
                raise Fault(404, "NotFound", f"no resource {group}/{resource}")
            verb = self.verb(name, query)
            account = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if account:
                cluster.judge(account, verb, group, f"{resource}/{part}" if part else resource, namespace)
            if (resource, part) == ("serviceaccounts", "token"):
                return self.answer(tokens.request(namespace, name), 201)
            if verb == "watch":
                return self.watch(group, resource, namespace, query)
            self.answer(*self.act(verb, (group, resource, namespace, name), part, query, sent))

        def verb(self, name, query):
            if self.command == "GET":
                return "get" if name else "watch" if query.get("watch", ["false"])[0] in ("true", "1") else "list"
            return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.command]

        def act(self, verb, key, part, query, sent):
            kind = cluster.kinds[key[:2]]["kind"]
            if verb == "list":
                items = cluster.listed(*key[:3], query)
                return ({"kind": f"{kind}List", "apiVersion": key[0], "metadata": {"resourceVersion": str(cluster.version)}, "items": items},)
            if verb == "create":
                sent.setdefault("apiVersion", key[0])
                sent.setdefault("kind", kind)
                meta = sent["metadata"]
                meta.setdefault("name", f"{meta.get('generateName', '')}{uuid.uuid4().hex[:6]}")
                key = (*key[:3], meta["name"])
            dry = bool(query.get("dryRun"))
            with cluster.lock:
                old = cluster.objects.get(key)
                if verb in ("get", "update", "delete") and old is None:
                    raise Fault(404, "NotFound", f"{key[1]} {key[3]!r} not found")
                if verb == "create" and old is not None:
                    raise Fault(409, "AlreadyExists", f"{key[1]} {key[3]!r} already exists")
                if verb == "get":
                    return (scale(old) if part == "scale" else old,)
                stale = sent.get("metadata", {}).get("resourceVersion") if verb in ("update", "patch") else None
                if old and stale and stale != old["metadata"]["resourceVersion"]:
                    raise Fault(409, "Conflict", "the object has been modified")
            if verb == "delete":
                return (old if dry else cluster.remove(key),)
            new = self.new(verb, old, part, sent)
            if key[2]:
                new["metadata"].setdefault("namespace", key[2])
            kept = new if dry else cluster.put(new)
            return scale(kept) if part == "scale" else kept, 200 if old else 201

        def new(self, verb, old, part, sent):
            if verb == "patch" and old is None and "apply" not in self.headers["Content-Type"]:
                raise Fault(404, "NotFound", "there is nothing to patch")
            if part == "scale":
                return merged(old, {"spec": {"replicas": sent["spec"]["replicas"]}})
            if verb == "patch" and part == "status":
                return {**old, "status": merged(old.get("status", {}), sent.get("status", {}))}
            new = merged(old or {}, sent) if verb == "patch" else sent
            if verb == "update" and part == "status":
                return {**old, "status": sent.get("status")}
            if old and old.get("status") and verb == "update":
                new["status"] = old["status"]
            new["metadata"].pop("managedFields", None)
            return new

        def watch(self, group, resource, namespace, query):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            wanted = dict(part.split("=", 1) for part in query.get("fieldSelector", [""])[0].split(",") if "=" in part and "!=" not in part)
            since = int(query.get("resourceVersion", ["0"])[0] or 0)
            initial = query.get("sendInitialEvents", ["false"])[0] == "true" or not since
            end = time.monotonic() + float(query.get("timeoutSeconds", ["300"])[0])
            if initial:
                with cluster.lock:
                    now, since = cluster.listed(group, resource, namespace, query), cluster.version
                for document in now:
                    self.event("ADDED", document)
                if query.get("sendInitialEvents"):
                    self.event("BOOKMARK", {"kind": cluster.kinds[(group, resource)]["kind"], "apiVersion": group, "metadata": {
                        "resourceVersion": str(since), "annotations": {"k8s.io/initial-events-end": "true"}}})
            while time.monotonic() < end:
                with cluster.lock:
                    new = [change for change in cluster.changes if change[0] > since]
                    if not new:
                        cluster.lock.wait(0.5)
                        continue
                    since = new[-1][0]
                for _, key, event, document in new:
                    if key[:2] == (group, resource) and namespace in ("", key[2]) and matches(document, wanted, query):
                        self.event(event, document)
            self.wfile.write(b"0\r\n\r\n")

        def event(self, kind, document):
            line = json.dumps({"type": kind, "object": document}).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()

    return Handler
