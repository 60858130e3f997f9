"""What the tests of layers and losses share: golden cases, their tolerances, layers filled with given kernels."""

import numpy as np
import pytest

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
        """`compute()` → the outputs by name; `sources`: what to differentiate by, by its path in the inputs.

        Also holds that a forgotten stop_gradient would be noticed: its gradients do not match.
        """
        wanted = self.case.get("gradients")
        if wanted is None:
            return
        with self.tf.GradientTape() as tape:
            tape.watch([source for source in sources.values() if not isinstance(source, self.tf.Variable)])
            output = compute()[wanted["of"]]
            if wanted["probe"] is not None:
                output = self.tf.reduce_sum(output * self.tf.constant(wanted["probe"], self.dtype))
        gradients = tape.gradient(output, {path: sources[path] for path in wanted["wrt"]})
        for path, expected in wanted["wrt"].items():
            assert self.is_gradient(gradients[path], expected), f"d {wanted['of']} / d {path}"
        for path, wrong in wanted.get("wrong_if_stop_gradient_is_forgotten", {}).items():
            if np.abs(np.asarray(wrong)).max() > 1e-4:
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
    """round_trip(layer, inputs): rebuilt from its config with its weights, and exported, it gives the same output."""
    def check(layer, inputs, read=lambda result: result):
        import tensorflow as tf

        inputs = [tf.constant(value) for value in inputs]
        expected = read(layer(*inputs)).numpy()
        for number, variable in enumerate(layer.trainable_variables):
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
        np.testing.assert_allclose(exported.answer(*inputs), expected, rtol=0, atol=1e-6)
    return check
