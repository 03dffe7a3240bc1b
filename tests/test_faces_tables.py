"""Tables of the records on rendered faces: rates in per cent, cosines as they are, the world that was taken."""

import json

from rifr.report import faces_tables, records


def test_the_committed_records_make_tables_with_a_row_each():
    for name, table in (
        (faces_tables.YARDSTICKS, faces_tables.yardsticks),
        (faces_tables.INGREDIENTS, faces_tables.ingredients),
        (faces_tables.WORLDS, faces_tables.worlds),
        (faces_tables.LFW, faces_tables.lfw),
    ):
        record = records.read(name)
        assert len(table(record)) == len(record["rows"]) > 1
        assert record["provenance"]["date"][:10] in faces_tables.source(record)
    worlds = records.read(faces_tables.WORLDS)
    assert all(
        f"`{preset}` takes *{name}*" in faces_tables.nearest_world(worlds) for preset, name in worlds["taken"].items()
    )


def test_rates_are_in_per_cent_and_cosines_are_not():
    row = {"judge": "a", "faces": "real", "people": 12, "photos": 720, "distractors": 800, "rank1_20": [0.1, 0.2, 0.3]}
    row |= {"accuracy": [0.951, 0.968, 0.99], "same": [0.5, 0.6, 0.7], "different": [-0.01, 0.014, 0.04]}
    (shown,) = faces_tables.yardsticks({"provenance": {}, "rows": [row]}).to_dict("records")
    assert shown["best accuracy"] == "96.8 (95.1 to 99.0)" and shown["rank-1, 20 px"] == "20.0 (10.0 to 30.0)"
    assert shown["of two people"] == "0.01 (-0.01 to 0.04)" and shown["faces"] == "real: 720 photos of 12 people"


def test_what_is_lost_without_an_ingredient_has_a_sign_and_the_whole_has_none():
    rows = [
        {"faces": "all", "rank-1, 112 px": 0.9},
        {"faces": "without skins", "rank-1, 112 px": 0.8, "difference, 112 px": [-0.12, -0.1, -0.08]},
    ]
    whole, less = faces_tables.ingredients({"provenance": {}, "rows": rows}).to_dict("records")
    assert whole["change, 112 px"] == "" and less["change, 112 px"] == "-10.0 (-12.0 to -8.0)"


def test_the_world_that_was_taken_is_marked():
    figures = {f"{recipe} {width}": 0.5 for recipe in ("hr-only", "lr-only") for width in (112, 60, 20, 16)}
    rows = [
        {"name": n, "gap": 0.1, "fall": 0.2, "distance": d, **figures, **more}
        for n, d, more in (("a", 0.6, {}), ("b", 0.5, {"gap interval": [0.08, 0.12], "fall interval": [0.1, 0.3]}))
    ]
    record = {"provenance": {}, "taken": {"mini": "b", "laptop": "b"}, "rows": rows}
    said = faces_tables.nearest_world(record)
    assert said.startswith("HR-only finds 60 % at 112 px in 0 of 2 worlds. `mini` takes *b*: HR-only 50.0 %")
    assert said.count("a gap of 10.0 points, a fall of 20.0") == 2
    table = faces_tables.worlds(record)
    assert list(table.world) == ["a", "b (mini and laptop)"] and list(table.distance) == ["60.0", "50.0"]
    assert list(faces_tables.worlds(record | {"taken": {"mini": "a"}}).world) == ["a (mini)", "b"]
    assert list(table.gap) == ["10.0", "10.0 (8.0 to 12.0)"] and table.fall[1] == "20.0 (10.0 to 30.0)"


def test_rows_are_added_to_a_record_in_the_place_of_the_same_network(tmp_path):
    path, by = tmp_path / "lfw.json", ("people", "seed")
    records.merge(path, [{"people": 5, "seed": 0, "value": 1}, {"people": 5, "seed": 1, "value": 2}], by)
    records.merge(path, [{"people": 5, "seed": 1, "value": 3}, {"people": 9, "seed": 0, "value": 4}], by, taken="x")
    records.write(path, json.loads(path.read_text()) | {"more": 1})
    record = json.loads(path.read_text())
    assert record.pop("more") == 1
    assert [(row["people"], row["seed"], row["value"]) for row in record["rows"]] == [(5, 0, 1), (5, 1, 3), (9, 0, 4)]
    assert record["taken"] == "x" and {row["date"][:4] for row in record["rows"]} <= {record["provenance"]["date"][:4]}


def test_a_row_of_lfw_says_what_its_network_has_seen():
    row = {"people": 4000, "photos": 32000, "epochs": 10, "camera": "everyday", "augment": 1.0, "recipe": "hr-only"}
    row |= {"changes": "dropout=0.2", "seed": 1, "low": 78.1, "value": 79.25, "high": 80.3, "seconds": 90.0}
    (shown,) = faces_tables.lfw({"provenance": {}, "rows": [row]}).to_dict("records")
    assert shown["LFW, % of pairs"] == "79.2 (78.1 to 80.3)" and shown["minutes"] == "1.5"
    assert (shown["people"], shown["changed anew"], shown["other settings"]) == ("4,000", "yes", "dropout 0.2")
    assert shown["network"] == "HR-only"
    (shown,) = faces_tables.lfw({"rows": [row | {"changes": "batch_size=64 augment=1 learning_rate=0.05"}]}).to_dict(
        "records"
    )
    assert shown["other settings"] == "batch size 64, learning rate 0.05"
    (shown,) = faces_tables.lfw({"rows": [row | {"changes": ""}]}).to_dict("records")
    assert shown["other settings"] == "–"
    same = {"people": 5, "views": 32000, "augment": 0.0, "recipe": "hr-only"}
    small = [same | {"seed": seed, "value": 70.0 + seed} for seed in (0, 1)]
    large = row | {"views": 320000}
    said = faces_tables.most_on_lfw({"provenance": {}, "rows": [large, *small]})
    ends = "4,000 people and 10 times the views, 79.2 % (1 seed) instead of {}; what else differs, the columns say."
    assert said == f"With {ends.format('70.5 (2 seeds)')}"
    like = same | {"seed": 0, "value": 60.0, "augment": 1.0}
    said = faces_tables.most_on_lfw({"provenance": {}, "rows": [*small, like, large | {"recipe": "arcface"}]})
    assert said == f"With ArcFace, {ends.format('60.0 (1 seed)')}"
    twice = [large | {"value": 80.0}, large | {"seed": 2, "value": 79.0}]
    assert "the views, 79.5 % (2 seeds) instead of 70.5" in faces_tables.most_on_lfw({"rows": [*small, *twice]})
