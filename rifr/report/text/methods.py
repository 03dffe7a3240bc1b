"""Words of chapter 12: what the comparison with other methods decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from rifr.report.style import label
from rifr.report.text import verdicts

CONCESSIONS = {
    "ricnn": "The trunk is that of all rows; as a loss it is HR+LR.",
    "centreface": "The trunk is that of all rows.",
    "distance-hundredth": "As distance × 0.1.",
    "distance-tenth": "No method of others: C-T's distance, without its curriculum and its start.",
    "distance-one": "As distance × 0.1.",
    "vggface": "Eleven layers, 6 to 48 channels wide for 64 to 512, with batch normalisation; the preset's dropout; no "
    "triplet stage.",
    "lightcnn": "A seventh as wide, with batch normalisation; colour; no cleaning of labels, which are right here.",
    "lightcnn-ft": "As LightCNN; fine-tuned on shrunk training faces, not on SCface's.",
    "arcface": "The scale is 16, and the margin grows over the first half of training.",
    "cosine-both": "No method of others: what margins are compared with.",
    "cosface-both": "No method of others: what the distance of F-SKD is compared with.",
    "arcface-both": "No method of others: what the distance of A-SKD is compared with.",
    "arcface-ft": "As ArcFace; fine-tuned on shrunk training faces, and again from no margin on.",
    "adaface": "Scale and margin as for ArcFace; none of its changes of photos (crops, lower resolution, light).",
    "rpcn": "Enhancers of three layers at half the sides; sums over pixels are weighed means; the enhancer sees large "
    "photos, too, for no network here is told how large a face was.",
    "csri": "An enhancer of three layers for twenty; both parts learn together from the start; no native small faces.",
    "fan-ft": "Small encoder and decoder for pictures of 28 px; no adversarial losses; no faces from cameras.",
    "ldms": "The network itself is the map, not a matrix; the terms are the letter's, their weights are all one.",
    "dcr-ft": "At test a gate guesses which branch a face belongs to, as the letter is told; its factors are another's "
    "code's, before sums over the D numbers of a feature where that has means, so D/2 times as strong; fine-tuned on "
    "the training faces, not on SCface's. The trunk rests after its own epochs, which are few.",
    "octuplet": "Features at length one; it goes on from HR-only, not from a margin softmax of millions of photos.",
    "c-t": "Chances of a width are weights of the two views; the learning rate is that of all rows.",
    "c-t-new": "As C-T, but not from the teacher's weights.",
    "f-skd": "The scale is 16, and the margin grows; two resolutions of a photo in each step; its teacher has a plain "
    "softmax layer, not the margin.",
    "a-skd": "Attention is the mean square of four layers' maps, not modules within all blocks, whose terms are more; "
    "large faces are shown beside small ones; scale, margin and teacher as for ArcFace and F-SKD.",
    "inherited": "A plain softmax layer: neither a margin nor CCFace's other terms.",
    "adadistill": "Scale, margin and teacher as for ArcFace and F-SKD; several rows of a person in a batch move its "
    "centre to their mean.",
}
"""What each other method has here that is not its paper's, in a sentence or two; the whole stands with it in
`rifr.methods`."""


def concessions(names: Sequence[str]) -> pd.DataFrame:
    """For reading: one row per method of `CONCESSIONS` among `names`, with what is not as in its paper."""
    rows = [{"method": label(name), "not as in its paper": CONCESSIONS[name]} for name in names if name in CONCESSIONS]
    return pd.DataFrame(rows)


def against(table: pd.DataFrame, network: str, paired: str = "person") -> str:
    """Whom `network` is ahead of and behind, a sentence per place; `table` is of `rifr.report.methods.differences`."""
    if not len(table):
        return ""
    lines = []
    for place, part in table.groupby("place", sort=False):
        by_sign = {sign: [*part[verdicts.signs(part) == sign].network] for sign in (1, -1, 0)}
        words = {1: "is ahead of", -1: "is behind", 0: "is not decided against"}
        said = [f"{word} {_names(by_sign[sign])}" for sign, word in words.items() if by_sign[sign]]
        lines.append(f"- **{place}**: {label(network)} {'; '.join(said)}.")
    decided = int((verdicts.signs(table) != 0).sum())
    chance = f"{decided} of {len(table)} are decided; about {0.05 * len(table):.0f} would be by chance alone."
    return "\n".join([f"Paired by {paired}, with 95 % intervals:", "", *lines, "", chance])


def question(shared: pd.DataFrame) -> str:
    """Whether the shared softmax layer is ahead of pairwise losses; `shared` holds its differences to them."""
    if not len(shared):
        return ""
    signs = verdicts.signs(shared)
    ahead, behind, count = int((signs > 0).sum()), int((signs < 0).sum()), len(shared)
    tally = f"of {count} comparisons ({_names(shared.network)}), decided for it: {ahead}, against it: {behind}"
    if ahead and not behind:
        answer = "where this decides, a shared softmax layer does better than a pairwise loss"
    elif behind and not ahead:
        answer = "where this decides, a shared softmax layer does worse than a pairwise loss"
    elif ahead:
        answer = "this is divided"
    else:
        answer = "this does not decide it"
    return f"With the start and the terms of their authors, as far as these are rebuilt here: {answer}: {tally}."


def super_resolution(ahead: pd.DataFrame) -> str:
    """Whether the paper's word on super-resolution (section II-A) holds; `ahead` is the proposed network's lead."""
    if not len(ahead):
        return ""
    names = verdicts.listed([label(name) for name in dict.fromkeys(ahead.network)])
    tally = verdicts.tally(verdicts.signs(ahead), "super-resolution", "the proposed network")
    return (
        "**Super-resolution**, says section II-A, does not appear to be significantly superior to resolution-invariant "
        f"methods, though it costs more. On small faces, of the proposed network against {names}: {tally}. What they "
        "rebuild pictures with is small here, as the table of what is not as in a paper says: this is no word on more."
    )


def apart(shared: pd.DataFrame, reasons: Mapping[str, str]) -> str:
    """The same of losses that differ in something else as well, each with that reason; "" of none."""
    lines = []
    for name, rows in shared.groupby("network", sort=False):
        places = "; ".join(f"{row.place} {verdicts.span(row)}" for row in rows.itertuples())
        lines.append(f"- {label(str(name))} {reasons[str(name)]}: {places}.")
    if not lines:
        return ""
    opening = "Other losses of distances differ in more than the distance, so that these differences have two causes:"
    return "\n".join([opening, "", *lines])


def mechanisms(shared: pd.DataFrame, weights: Sequence[str], unequal: Sequence[str] = ()) -> str:
    """Whether a shared layer or a distance, all else equal, does better.

    `shared` is its differences to networks with a distance, `weights` the names of all of them that the criterion asks,
    `unequal` the fields of the preset that make them differ in something else.
    """
    if unequal:
        return f"Not asked: {', '.join(unequal)} of this preset changes shared softmax only and not the distances."
    lines = []
    for place, rows in shared.groupby("place", sort=False):
        signs = verdicts.signs(rows)
        ahead, behind = _names(rows[signs > 0].network), _names(rows[signs < 0].network)
        missing = _names([name for name in weights if name not in set(rows.network)])
        if behind:
            answer = f"the distance does better ({behind})"
        elif (signs > 0).all() and not missing:
            answer = "the shared layer does better, whatever the weight of the distance"
        else:
            answer = f"not decided{f' without {missing}' if missing else ''}"
            answer += f"; the shared layer is ahead of {ahead}{' alone' * (not missing)}" if ahead else ""
        lines.append(f"- **{place}**: {answer}.")
    return "\n".join(lines)


def below_their_start(names: Sequence[str]) -> str:
    """That methods end below the network they went on from, which says nothing of the method; "" of none."""
    if not names:
        return ""
    return (
        f"{_names(names)} {'ends' if len(names) == 1 else 'end'} below the network gone on from, on large faces and on "
        "small ones: at these settings the method undoes what it starts with, which is no evidence against the idea."
    )


def _names(names: Sequence[str] | pd.Series) -> str:
    return ", ".join(label(name) for name in dict.fromkeys(names))
