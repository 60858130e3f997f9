"""What the tests of layers and losses share: golden cases, their tolerances, layers filled with given kernels."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

import model  # noqa: F401  (chooses the Keras version, before a test imports TensorFlow)


class Golden:
    """Feeds a golden case to TensorFlow in one precision and holds what comes back to the tolerances of the vectors."""

    def __init__(self, case, dtype):
        import tensorflow as tf

        self.tf, self.case, self.dtype = tf, case, dtype
        self.inputs = case["inputs"]

    def tensor(self, name):
        """A float input, by a path such as `layers.0.kernel`."""
        return self.tf.constant(self.value(name), self.dtype)

    def value(self, name):
        found = self.inputs
        for part in name.split("."):
            found = found[int(part) if part.isdigit() else part]
        return found

    def fill(self, variable, values):
        variable.assign(np.asarray(values, self.dtype))
        return variable

    def agrees(self, result, expected):
        tight = self.dtype == "float64"
        np.testing.assert_allclose(
            np.asarray(result), np.asarray(expected, np.float64), rtol=1e-9 if tight else 2e-5, atol=1e-11 if tight else 2e-6)

    def is_gradient(self, gradient, expected):
        """True if the whole array is within the tolerance of gradients."""
        expected = np.asarray(expected, np.float64)
        got = np.zeros_like(expected) if gradient is None else np.asarray(self.tf.convert_to_tensor(gradient), np.float64)
        tight = self.dtype == "float64"
        allowed = (1e-6 if tight else 1e-4) * np.abs(expected).max() + (1e-8 if tight else 1e-5)
        return got.shape == expected.shape and bool((np.abs(got - expected) <= allowed).all())

    def check_gradients(self, compute, sources):
        """`compute()` → the outputs by name; `sources`: what to differentiate by, by its path in the inputs: a tensor, a
        variable, or a list of variables that the path stacks.

        Also holds that a forgotten stop_gradient would be noticed: its gradients do not match.
        """
        wanted = self.case.get("gradients")
        if wanted is None:
            return
        with self.tf.GradientTape() as tape:
            tape.watch([source for source in sources.values() if isinstance(source, self.tf.Tensor)])
            output = compute()[wanted["of"]]
            if wanted["probe"] is not None:
                output = self.tf.reduce_sum(output * self.tf.constant(wanted["probe"], self.dtype))
        gradients = tape.gradient(output, {path: sources[path] for path in wanted["wrt"]})
        for path, expected in wanted["wrt"].items():
            assert self.is_gradient(gradients[path], expected), f"d {wanted['of']} / d {path}"
        for path, wrong in wanted.get("wrong_if_stop_gradient_is_forgotten", {}).items():
            if not self.is_gradient(wanted["wrt"][path], wrong):  # else this stop makes no difference
                assert not self.is_gradient(gradients[path], wrong), f"no stop_gradient before {path}"


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def golden(load_golden, dtype):
    """golden("gate", function="gate") → its cases, each a Golden in this test's precision."""
    def cases(name, function):
        found = [Golden(case, dtype) for case in load_golden(name) if case["function"] == function]
        assert found, f"{name}.json has no case of {function}"
        return found
    return cases


@pytest.fixture
def round_trip(tmp_path):
    """round_trip(layer, inputs): the largest difference of its output when it is exported; rebuilt from its config with its
    weights it must give the very same."""
    def check(layer, inputs, read=lambda result: result):
        import tensorflow as tf

        inputs = [tf.constant(value) for value in inputs]
        expected = read(layer(*inputs)).numpy()
        for number, variable in enumerate(layer.variables):
            variable.assign_add(tf.random.stateless_normal(variable.shape, [7, number], stddev=0.3))
        expected, before = read(layer(*inputs)).numpy(), expected
        assert not np.array_equal(expected, before), "the test must see a change of weights"

        again = type(layer).from_config(layer.get_config())
        again(*inputs)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(read(again(*inputs)), expected)

        module = tf.Module()
        module.layer = layer
        module.answer = tf.function(
            lambda *given: read(layer(*given)), input_signature=[tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in inputs])
        tf.saved_model.save(module, str(tmp_path / "exported"))
        exported = tf.saved_model.load(str(tmp_path / "exported"))
        return np.abs(exported.answer(*inputs).numpy() - expected).max()
    return check


@pytest.fixture(scope="session")
def write_lake():
    """write_lake(layout, days, rows=…, items=…): contract tables with random rows, SIDs of codebook `cb-1` for most items."""
    return write_contract_tables


def write_contract_tables(layout, days, rows=60, items=30, users=8, seed=0, mode="overwrite"):
    rng = np.random.default_rng(seed)
    for ds in days:
        write_deltalake(layout.table("training_frame"), frame_of(rng, ds, rows, items, users), partition_by=["ds"], mode=mode)
        mode = "append"
    for name, key, count in (("item_index", "item_id", items), ("user_index", "user_id", users)):
        index = {key: [f"{key[0]}{n}" for n in range(count)], "row": pa.array(np.arange(count) + 2, pa.int32())}
        write_deltalake(layout.table(name), pa.table(index), mode="overwrite")
    codes = np.random.default_rng(99).integers(0, 256, [1000, 4]).astype(np.int32)[:items - 3]
    write_deltalake(layout.table("semantic_ids"), pa.table({
        "item_id": [f"i{n}" for n in range(items - 3)], "codes": list(codes),
        "assigned_at": [moment("2026-01-01")] * (items - 3),
        "codebook_version": ["cb-1"] * (items - 3)}), partition_by=["codebook_version"], mode="overwrite")


def moment(ds):
    return pa.scalar(int(np.datetime64(ds, "us").astype(np.int64)) + 3_600_000_000, pa.timestamp("us", "UTC"))


def frame_of(rng, ds, rows, items, users):
    """One day of training_frame. Clicks prefer what the user took before, so that there is something to learn; that is in the
    history, first, and no other candidate is. Counts are the item's, for all rows have one tick."""
    item, user = rng.integers(0, items, rows), rng.integers(0, users, rows)
    count = rng.integers(0, 3, rows)
    clicked = (rng.random(rows) < np.where(count > 0, 0.6, 0.1)).astype(np.int8)
    lengths = np.maximum(rng.integers(0, 6, rows), count > 0)
    starts = np.r_[0, np.cumsum(lengths)]
    other = np.repeat(item, lengths) + rng.integers(1, items, lengths.sum())
    history = (other % items + 2).astype(np.int32)
    history[starts[:-1][count > 0]] = item[count > 0] + 2
    return pa.table({
        "event_id": [f"{ds}-{n:05d}" for n in rng.permutation(rows)], "user_id": [f"u{n}" for n in user],
        "item_id": [f"i{n}" for n in item], "event_time": [moment(ds)] * rows, "ds": [ds] * rows,
        "clicked": clicked, "ordered": (clicked * (rng.random(rows) < 0.5)).astype(np.int8),
        "user_row": pa.array(user + 2, pa.int32()), "item_row": pa.array(item + 2, pa.int32()),
        "hour_of_day": pa.array(rng.integers(0, 24, rows), pa.int32()),
        "day_of_week": pa.array(rng.integers(0, 7, rows), pa.int32()),
        "history_rows": pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(history)),
        "online_days": rng.integers(0, 400, rows), "exposure_7d": rng.integers(0, 300, items)[item],
        "click_7d": rng.integers(0, 30, items)[item],
        "maturity_tick": [moment(ds)] * rows, "repeat_count": count.astype(np.float32),
        "repeat_age_days": np.where(count > 0, rng.random(rows) * 30, -1).astype(np.float32)})


@pytest.fixture
def tiny_day():
    """tiny_day(rows, items, users) → a Day in which even items are clicked, and random RQ codes by item row."""
    from features.spec import NUM_LEVELS
    from model.dataset import Day

    def make(rows, items, users):
        rng = np.random.default_rng(8)
        item = rng.integers(2, items, rows).astype(np.int32)
        clicked = (item % 2 == 0).astype(np.int8)
        features = {
            "user_row": rng.integers(2, users, rows).astype(np.int32), "item_row": item,
            "hour_of_day": rng.integers(0, 24, rows).astype(np.int32),
            "day_of_week": rng.integers(0, 7, rows).astype(np.int32),
            "history_rows": (rng.integers(2, items, [rows, 50]) * (np.arange(50) < rng.integers(0, 9, [rows, 1]))).astype("i4"),
            "item_stats": 50 * rng.random([rows, 3]).astype("f"), "repeat_count": np.zeros(rows, "f"),
            "repeat_age_days": -np.ones(rows, "f")}
        codes = rng.integers(0, 256, [items, NUM_LEVELS]).astype(np.int32)
        codes[[0, 1, 7]] = -1
        return Day("2026-01-01", features, clicked, (clicked * (item % 4 == 0)).astype(np.int8), pa.table({})), codes
    return make
