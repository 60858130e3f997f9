"""Arrays as TensorProtos: TensorFlow's own functions are the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

pytestmark = pytest.mark.tf
NUMBERS = st.sampled_from([np.int32, np.int64, np.float32, np.float64, np.uint8, np.bool_])


@given(NUMBERS.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))))
def test_arrays_of_numbers_go_there_and_back_as_tensorflow_has_them(values):
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    from serving.tensor_format import array_of, fill

    proto = TensorProto()
    fill(proto, values)
    for found in (array_of(proto), tf.make_ndarray(proto), array_of(tf.make_tensor_proto(values))):
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(found, values)


def test_texts_and_values_that_are_listed_are_read_too():
    import tensorflow as tf

    from serving.tensor_format import array_of

    assert array_of(tf.make_tensor_proto([b"a", b"b"])).tolist() == [b"a", b"b"]
    assert array_of(tf.make_tensor_proto(0.5, shape=[2])).tolist() == [0.5, 0.5]


def test_bytes_that_do_not_fill_the_shape_are_refused():
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    from serving.tensor_format import array_of, fill

    proto = TensorProto()
    fill(proto, np.zeros(3, np.float32))
    proto.tensor_shape.dim[0].size = 4
    with pytest.raises(ValueError, match="reshape"):
        array_of(proto)
