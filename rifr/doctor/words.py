"""What an examination says: a table for the shell, and in words which mistake is likeliest and how to mend it."""

from __future__ import annotations

from typing import Any

from rifr.align import FACE_SIZE
from rifr.doctor.examination import EASY, Examination, Remedy
from rifr.doctor.settings import SHIFT, ZOOM

__all__ = ["explained", "lines", "on_whom", "report", "verdict"]

WHERE = {"left": "right", "right": "left", "up": "low", "down": "high"}
"""Where the faces lie whose photos do better when they are moved left, right, up or down."""
ALIGN = "align them to the usual five points (`rifr align`)"


def report(found: Examination) -> str:
    """The table, on whom it was measured, and the verdict: what `rifr doctor` prints."""
    return f"{lines(found)}\n\n{on_whom(found)}\n\n{verdict(found)}"


def lines(found: Examination) -> str:
    """A line per setting: accuracy and paired difference, each with its 95 % interval."""
    table = found.table
    names = table.setting.where(table["round"] != "declared", f"as declared: {_named(found)}")
    wide = max(map(len, names))
    said = [f"{'setting':<{wide}}  accuracy, % [95 %]     against declared, points [95 %]"]
    for name, row in zip(names, table.itertuples(), strict=True):
        rate = f"{row.accuracy:5.1f} [{row.low:.1f}, {row.high:.1f}]"
        gain = f"{row.difference:+5.1f} [{row.difference_low:+.1f}, {row.difference_high:+.1f}]"
        if row.failed:
            rate, gain = f"not run: {row.failed}", ""
        elif row.round == "declared":
            gain = ""
        said.append(f"{name:<{wide}}  {rate:<21}  {gain}".rstrip())
    return "\n".join(said)


def on_whom(found: Examination) -> str:
    """How many pairs of how many people there were, and who was left out."""
    made = found.provenance
    pairs, width = made["pairs"], made["width"]
    said = (
        f"{pairs['genuine']:,} genuine and {pairs['impostor']:,} impostor pairs of {pairs['photos']:,} photos of "
        f"{pairs['people']:,} people at {width} px; {pairs['folds']} folds of people, each judged by the threshold "
        "learnt on the others."
    )
    if alone := pairs["people with one photo, left out"]:
        said += f" {len(alone)} people with one photo were left out."
    if skipped := made["faces"]["skipped"]:
        said += f" {len(skipped)} files could not be used: {'; '.join(skipped[:5])}{', ...' * (len(skipped) > 5)}."
    return said


def verdict(found: Examination) -> str:
    """The likeliest mistake and what mends it; or that the declared setting stands, with what could not be seen."""
    declared, likeliest = found.table.iloc[0], found.likeliest
    if likeliest is None:
        said = "No setting that was tried does decidedly better than the declared one."
        if declared.low <= 50:
            return (
                f"{said} Nor is it better than chance ({declared.accuracy:.1f} %): is the file's first output the "
                "embedding, and are the photos aligned faces, a folder for each person?"
            )
        if declared.accuracy >= 100 * EASY:
            width = found.provenance["width"]
            return (
                f"{said} These pairs are so easy that little could be seen: try smaller faces (--width {width // 4})."
            )
        return f"{said}{_nearly(found)} {_unseen(found)}"
    if _habit(likeliest):
        said = f"No mistake is seen in how the photos are given. {explained(found, likeliest)}"
    else:
        said = f"The likeliest mistake is {explained(found, likeliest)}"
    for other in found.remedies:
        if other is not likeliest:
            said += f" {'' if _habit(other) else 'Then there is '}{explained(found, other)}"
    if found.alike:
        said += f" These pairs do not tell it from: {'; '.join(found.alike)}."
    return said


def explained(found: Examination, remedy: Remedy) -> str:
    """One mistake: what it is, what it costs, what mends it."""
    setting, declared = remedy.setting, found.declared
    gain = remedy.gain.percent()
    cost = (
        f"{100 * remedy.after:.1f} % of the pairs are right instead of {100 * remedy.before:.1f} %, "
        f"{gain.estimate:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f} at {100 * found.level:.1f} %)."
    )
    if "channels" in remedy.about or "scaling" in remedy.about:
        what = {
            "channels": f"the channel order, {setting.channels} and not {declared.channels}",
            "scaling": f"the scaling, {setting.scaling} and not {declared.scaling}",
        }
        options = " ".join(setting.options[name] for name in remedy.about)
        both = "both " if len(remedy.about) == 2 else ""
        return f"{both}{', and '.join(what[name] for name in remedy.about)}: {cost} Give `{options}`."
    if "mirror" in remedy.about:
        if setting.mirror:
            return f"Most published numbers add the features of the mirror image: {cost}"
        return f"the mirror image, which this network is worse with: {cost} Give `--no-mirror`."
    if setting.placement in WHERE:
        side = WHERE[setting.placement]
        return (
            f"the alignment, for the faces lie about {SHIFT} px of {FACE_SIZE} too {_far(side)}: photos moved "
            f"{setting.placement} do better, {cost} A template for another size does this; {ALIGN}."
        )
    how, size = ("loosely", "small") if setting.placement == "closer" else ("tightly", "large")
    factor = f"{ZOOM:g}" if setting.placement == "closer" else f"{1 / ZOOM:g}"
    return (
        f"the crop, which is too {how} cut, so that the faces are too {size}: photos scaled by {factor} do better, "
        f"{cost} Do not crop a detector's box; {ALIGN}."
    )


def _habit(remedy: Remedy) -> bool:
    """Whether it is not a mistake that is mended but a habit of the field that was not followed."""
    return remedy.about == ("mirror",) and remedy.setting.mirror


def _far(side: str) -> str:
    return f"far {side}" if side in ("left", "right") else side


def _named(found: Examination) -> str:
    declared = found.declared
    return f"{declared.channels}, {declared.scaling}, {'with' if declared.mirror else 'without'} mirror image"


def _nearly(found: Examination) -> str:
    """The best setting that would be decided if no other had been tried."""
    rows: Any = found.table.iloc[1:]
    rows = rows[rows.difference_low > 0]
    if not len(rows):
        return ""
    best = rows.loc[rows.difference.idxmax()]
    low, high = f"{best.difference_low:+.1f}", f"{best.difference_high:+.1f}"
    return (
        f" If it alone had been tried, {best.setting} would be: {best.difference:+.1f} points ({low} to {high}); of "
        f"{len(found.table) - 1} settings one may be so by chance."
    )


def _unseen(found: Examination) -> str:
    """How large a difference would have been missed: the intervals' half lengths."""
    rows: Any = found.table.iloc[1:].dropna(subset=["difference"])
    halves = (rows.difference_high - rows.difference_low) / 2
    return (
        f"The intervals reach {halves.min():.1f} to {halves.max():.1f} points to each side, and smaller mistakes go "
        "unseen: more people make them shorter (`--people`)."
    )
