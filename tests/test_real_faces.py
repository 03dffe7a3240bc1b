"""The premise of the paper, on real faces: a network trained on sharp photos fails on coarse ones. And LFW's pairs.

Only where RIFR_REAL_DATA names the faces; `tests/benchmarks/real_faces.py` measures the same on all of them.
"""

from dataclasses import replace
from itertools import islice

import pytest

from rifr import presets
from rifr.evaluation import score as scoring

PEOPLE_IN_BOTH = {
    "Alec_Baldwin",
    "Daniel_Radcliffe",
    "Fran_Drescher",
    "Kristin_Chenoweth",
    "Lorraine_Bracco",
    "Peri_Gilpin",
}
PLAN = replace(presets.get("mini"), mirror=False, resamples=500)  # one view of each photo, for the sake of time


def link_people(target, people, photos):
    for person in people:
        (target / person.name).mkdir(parents=True)
        for file in sorted(person.iterdir())[:photos]:
            (target / person.name / file.name).symlink_to(file)


@pytest.mark.slow
def test_real_faces_are_recognised_at_112_pixels_and_not_below_30(real_data, tmp_path, store_folder):
    probes, lfw = sorted((real_data / "facescrub12").iterdir()), real_data / "lfw112"
    link_people(tmp_path / "probes", probes, 10)
    singles = (person for person in sorted(lfw.iterdir()) if len(list(person.iterdir())) == 1)
    crowd = {*(lfw / name for name in PEOPLE_IN_BOTH), *islice(singles, 300)}
    link_people(tmp_path / "crowd", crowd, 1)
    score = scoring.score(
        real_data / "models" / "mobilefacenet.onnx",
        tmp_path / "probes",
        tmp_path / "crowd",
        widths=(112, 20),
        preset=PLAN,
        progress=False,
    )
    assert set(score.provenance["distractors"]["excluded"]) == PEOPLE_IN_BOTH
    assert set(score.table.trials) == {12 * 10 * 9} and set(score.table.impostors) == {300}
    rank1 = score.table.set_index(["protocol", "width"]).value
    assert rank1["P1", 112] == rank1["P2", 112] > 95
    assert rank1["P2", 20] < rank1["P1", 20] < 45, "a coarse probe is no longer near its own sharp photos"


@pytest.mark.slow
def test_pairs_of_lfw_are_told_apart_at_112_pixels(real_data, tmp_path, store_folder):
    lines = (real_data / "lists" / "lfw_pairs.txt").read_text().splitlines()[1:1201]
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t300", *lines]) + "\n")
    score = scoring.score(
        real_data / "models" / "mobilefacenet.onnx",
        pairs=tmp_path / "pairs.txt",
        images=real_data / "lfw112",
        widths=(112,),
        preset=PLAN,
        progress=False,
    )
    assert set(score.table.trials) == {1200}
    assert 98 <= score.table.value.iloc[0] <= 99.8
