import cv2
import numpy as np
import pytest
import torch

from rifr import degrade
from rifr.degrade import to_width
from rifr.errors import DataError, SettingError

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)
SMOOTH = np.stack([cv2.GaussianBlur(image, (0, 0), 3) for image in NOISE])


def with_opencv(images, width):
    down = [cv2.resize(image, (width, width), interpolation=cv2.INTER_CUBIC) for image in images]
    return np.stack([cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC) for image in down])


def difference(first, second):
    return int(np.abs(np.asarray(first).astype(int) - np.asarray(second).astype(int)).max())


def channels_first(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def as_array(tensor):
    return tensor.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("width", range(4, 113))
def test_every_width_is_opencvs_within_one_grey_level(width):
    for images in (NOISE, SMOOTH):
        expected = with_opencv(images, width) if width < 112 else images
        assert difference(to_width(images, width), expected) <= 1
        assert difference(as_array(to_width(channels_first(images).contiguous(), width)), expected) <= 1


@pytest.mark.parametrize("width", [4, 7, 8, 13, 16, 20, 33, 40, 48, 56, 60, 78, 100, 111])
def test_the_way_of_an_accelerator_gives_the_same_faces_but_for_rare_ties(width):
    small = degrade._resize_on_device(channels_first(SMOOTH).float(), width)
    apart = np.abs(as_array(degrade._resize_on_device(small, 112)).astype(int) - with_opencv(SMOOTH, width))
    assert apart.max() <= 2 and (apart > 1).mean() < 1e-5  # OpenCV itself breaks ties by the processor it runs on


def test_a_tensor_on_another_device_stays_there():
    if not torch.cuda.is_available():
        pytest.skip("no accelerator here")
    tensor = channels_first(SMOOTH).cuda()
    assert to_width(tensor, 20).device == tensor.device
    with torch.autocast("cuda"):
        assert difference(as_array(to_width(tensor, 20).cpu()), with_opencv(SMOOTH, 20)) <= 1


def test_many_images_on_two_threads_equal_each_image_alone():
    images = np.repeat(NOISE, 30, axis=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = to_width(images, 20)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(together[::30], to_width(NOISE, 20))
    assert np.array_equal(to_width(NOISE[0], 20), together[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_network_inputs_in_minus_one_to_one_hold_the_same_grey_levels(dtype):
    grey = channels_first(NOISE)
    result = to_width((grey.float() / 127.5 - 1).to(dtype), 20)
    assert result.dtype == dtype
    assert torch.equal(((result.float() + 1) * 127.5).round().to(torch.uint8), to_width(grey, 20))


def test_the_full_width_returns_the_input():
    tensor = channels_first(NOISE)
    assert to_width(NOISE, 112) is NOISE
    assert to_width(tensor, 112) is tensor


def test_the_input_is_left_as_it_was_and_may_be_a_read_only_view():
    images = NOISE[::2, :, ::-1]
    images.flags.writeable = False
    before = images.copy()
    assert difference(to_width(images, 20), with_opencv(before, 20)) <= 1
    assert np.array_equal(images, before)


def test_no_images_give_no_images():
    assert to_width(NOISE[:0], 20).shape == (0, 112, 112, 3)
    assert to_width(channels_first(NOISE)[:0], 20).shape == (0, 3, 112, 112)


def test_width_may_be_any_kind_of_integer():
    assert np.array_equal(to_width(NOISE, np.int64(20)), to_width(NOISE, 20))


@pytest.mark.parametrize("width", [-20, 0, 3, 113])
def test_a_width_out_of_range_is_refused(width):
    with pytest.raises(SettingError, match=f"4 to 112 pixels, not {width}"):
        to_width(NOISE, width)


@pytest.mark.parametrize("width", [20.0, "20", None, True])
def test_a_width_that_is_no_integer_is_refused(width):
    with pytest.raises(TypeError, match="whole number"):
        to_width(NOISE, width)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 112, 112), np.uint8),
        np.zeros((2, 3, 112, 112), np.uint8),
        np.zeros((2, 96, 112, 3), np.uint8),
        torch.zeros(3, 112, 112),
        torch.zeros(2, 112, 112, 3),
        torch.full((1, 3, 112, 112), 255.0),
        torch.full((1, 3, 112, 112), float("nan")),
    ],
)
def test_a_wrong_shape_or_scale_is_refused(images):
    with pytest.raises(DataError, match="not"):
        to_width(images, 20)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 112, 112, 3), np.float32), torch.zeros(2, 3, 112, 112, dtype=torch.int64), [[0]]]
)
def test_a_wrong_dtype_is_refused(images):
    with pytest.raises(TypeError, match="not"):
        to_width(images, 20)
