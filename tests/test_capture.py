"""What differs between the photos of one person is drawn without looking at the person."""

import numpy as np

from rifr.faces import capture, identity

PEOPLE, PHOTOS = 150, 8


def test_hair_beard_and_make_up_of_the_day_differ_between_photos_and_tell_nothing_of_the_person(model):
    shots = np.array(
        [
            [capture.draw_capture(model, 0, "probe", person, photo).shot for photo in range(PHOTOS)]
            for person in range(PEOPLE)
        ]
    )
    looks = [identity.draw_identity(model, 0, "probe", person).look for person in range(PEOPLE)]
    for name in ("hair_tint", "hair_mirror", "beard", "makeup"):
        values = shots[name].reshape(PEOPLE, PHOTOS, -1)[..., 0].astype(float)
        assert np.mean(values.std(axis=1) > 0) > (0.85 if name == "makeup" else 0.95)
        between = values.mean(axis=1).var() * PHOTOS / values.var()  # 1 where people do not differ
        assert 0.7 < between < 1.35
        for trait in ("tone", "gender", "age"):
            assert abs(np.corrcoef([look[trait] for look in looks], values.mean(axis=1))[0, 1]) < 0.25
    assert set(np.unique(shots["hair_mirror"])) == {0, 1} and 0.2 < (shots["makeup"] > 0).mean() < 0.4


def test_as_many_photos_show_the_second_style_as_the_share_says(model, monkeypatch):
    monkeypatch.setattr(capture, "HAIR_CHANGES", 0.4)
    other = np.array([capture.draw_capture(model, 0, "probe", person, 0).shot["hair_other"] for person in range(400)])
    assert set(other) == {0, 1} and abs(np.mean(other) - 0.4) < 4 * np.sqrt(0.24 / 400)
