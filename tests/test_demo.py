import numpy as np
from PIL import Image

import demo


def test_the_same_seed_draws_the_same_images(tmp_path, contents):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        demo.draw_phantoms(tmp_path / name, {"no": 3, "yes": 3}, seed=seed, sizes=(40, 60))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    assert len(contents(tmp_path / "a")) == 6
    for path in (tmp_path / "a").rglob("*.*"):
        with Image.open(path) as image:
            assert 40 <= max(image.size) <= 60


def test_a_lesion_is_where_it_is_said_to_be():
    for lesion in demo.LESIONS:
        for seed in range(5):
            image, inside = demo.draw_phantom(np.random.default_rng(seed), lesion, (120, 100))
            pixels = np.asarray(image)
            assert pixels.shape == inside.shape == (100, 120)
            assert 0.002 < inside.mean() < 0.1
            # Its rim is the brightest there is in the brain.
            rows, columns = np.nonzero(inside)
            assert 20 < rows.mean() < 80 and 20 < columns.mean() < 100
            assert np.percentile(pixels[inside], 90) > 1.3 * np.median(pixels[30:70, 35:85])


def test_without_a_lesion_there_is_none():
    _, inside = demo.draw_phantom(np.random.default_rng(0), None, (60, 60))
    assert not inside.any()
