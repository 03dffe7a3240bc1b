"""What the paper reports, once: the figures that its text and tables state (none is read off a plot).

Tables I and II stand here whole, the other methods' rows too. Rank-1 and TPR in per cent, face width in pixels.
`rounded` marks rank-1 rates that the text gives as whole numbers, mostly with "around", where it has two decimals for
others. What others have published elsewhere names its source: a key of the book's references.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """One figure of the paper.

    Attributes
    ----------
    protocol, network, width
        Of what; the face width in pixels.
    rank1
        In per cent.
    rounded, where
        Whether the text gives a whole number, mostly with "around", and where it stands.
    """

    protocol: str
    network: str
    width: int
    rank1: float
    rounded: bool
    where: str


RANK1 = [
    Reported("P1", "hr-only", 100, 90.0, True, "IV-A"),
    Reported("P1", "hr-only", 60, 90.0, True, "IV-A"),
    Reported("P1", "hr-only", 20, 25.0, True, "IV-A"),
    Reported("P1", "lr-only", 100, 68.0, True, "IV-A"),
    Reported("P1", "lr-only", 20, 46.0, True, "IV-A"),
    Reported("P1", "hr+lr", 100, 77.64, False, "IV-A, ablation"),
    Reported("P1", "hr+lr", 20, 48.40, False, "IV-A, ablation"),
    Reported("P1", "kl-only", 100, 79.38, False, "IV-A, ablation"),
    Reported("P1", "kl-only", 20, 49.24, False, "IV-A, ablation"),
    Reported("P1", "shared-only", 100, 80.62, False, "IV-A, ablation"),
    Reported("P1", "shared-only", 20, 49.22, False, "IV-A, ablation"),
    Reported("P1", "proposed", 100, 82.80, False, "IV-A, ablation"),
    Reported("P1", "proposed", 20, 50.65, False, "IV-A, ablation"),
    Reported("P2", "proposed", 20, 64.0, True, "IV-A"),
]
"""Identification among 10,000 MegaFace distractors, Figs. 5, 6, 9, 10.

HR-only "remains almost unchanged" from 100 to 60 px. LR-only's 68 % is said of "HR images": that these are 100 px wide,
as in the sentences around it, is our reading.
"""


@dataclass(frozen=True)
class ReportedTpr:
    """A true positive rate of the paper; what is not named here as in `Reported`.

    Attributes
    ----------
    fpr
        The false positive rate, as a share.
    tpr
        In per cent.
    """

    protocol: str
    network: str
    width: int
    fpr: float
    tpr: float
    rounded: bool
    where: str


TPR = [
    ReportedTpr("P1", "hr-only", 25, 1e-4, 30.0, True, "IV-A"),
    ReportedTpr("P1", "lr-only", 25, 1e-4, 45.0, True, "IV-A"),
    ReportedTpr("P1", "hr+lr", 25, 1e-4, 45.0, True, "IV-A"),
    ReportedTpr("P1", "proposed", 25, 1e-4, 50.0, False, "IV-A"),
    ReportedTpr("P2", "hr-only", 25, 1e-4, 52.0, False, "IV-A"),
    ReportedTpr("P2", "lr-only", 25, 1e-4, 48.0, False, "IV-A"),
    ReportedTpr("P2", "hr+lr", 25, 1e-4, 54.0, False, "IV-A"),
    ReportedTpr("P2", "proposed", 25, 1e-4, 60.0, False, "IV-A"),
]
"""Verification against 10,000 MegaFace distractors, Figs. 7 and 8."""


@dataclass(frozen=True)
class ReportedTinyFace:
    """A row on TinyFace: CMC at ranks 1, 5, 20 and 50 and mean average precision in per cent, None where not given.

    source: where it was published, a key of the references; "" for the paper's own tables.
    """

    method: str
    rank1: float
    rank20: float | None = None
    rank50: float | None = None
    mean_ap: float | None = None
    rank5: float | None = None
    source: str = ""


TABLE_1 = [
    ReportedTinyFace("RPCN", 18.6, 25.3, 27.4, 12.9),
    ReportedTinyFace("VGGFace", 30.4, 40.4, 42.7, 23.1),
    ReportedTinyFace("CentreFace", 32.1, 44.5, 48.4, 24.6),
    ReportedTinyFace("CSRI", 44.8, 60.4, 65.1, 36.2),
    ReportedTinyFace("C-T", 58.6, 73.0, 76.3, 52.7),
    ReportedTinyFace("Proposed", 70.4, 82.2, 85.4, 63.2),
]
"""Table I: TinyFace, 3,728 probes, a gallery of 157,871. The paper's own network is the last row (CASIA-WebFace)."""

TINYFACE_ELSEWHERE = [
    ReportedTinyFace("FaceMoE, Swin-B, fine-tuned", 76.18, rank5=79.69, source="narayan2026"),
    ReportedTinyFace("KP-RPE, ViT-B, WebFace12M", 76.10, rank5=78.92, source="cvlface"),
    ReportedTinyFace("ARoFace, R100", 73.80, rank5=76.83, source="saadabadi2024"),
    ReportedTinyFace("AdaFace, IR-101, WebFace12M", 72.42, rank5=74.81, source="cvlface"),
    ReportedTinyFace("AdaFace, IR-50, WebFace4M", 70.20, rank5=73.93, source="cvlface"),
    ReportedTinyFace("AdaFace, IR-50, CASIA-WebFace", 59.44, rank5=64.14, source="cvlface"),
    ReportedTinyFace("AdaFace, IR-18, CASIA-WebFace", 56.20, rank5=61.43, source="cvlface"),
]
"""Published elsewhere, not in the paper: other training sets, mostly larger ones."""


def casia_on_tinyface() -> list[ReportedTinyFace]:
    """The rows of networks that others trained on CASIA-WebFace alone, as the paper did, the lowest first."""
    rows = [row for row in TINYFACE_ELSEWHERE if row.method.endswith("CASIA-WebFace")]
    return sorted(rows, key=lambda row: row.rank1)


@dataclass(frozen=True)
class ReportedScface:
    """A row on SCface: rank-1 in per cent at d1 (4.20 m), d2 (2.60 m), d3 (1.00 m), and their average as printed.

    people: whose photos are the probes, 130 (650 probes per distance) or 80 (400; the other 50 were tuned on), None
    where it is not known. source: as for `ReportedTinyFace`.
    """

    method: str
    d1: float
    d2: float
    d3: float
    average: float | None
    people: int | None
    source: str = ""


TABLE_2 = [
    ReportedScface("RICNN", 23.0, 66.0, 74.0, 54.3, None),
    ReportedScface("LDMS", 62.7, 70.7, 65.5, 65.5, None),
    ReportedScface("LightCNN-FT", 49.0, 83.8, 93.5, 75.4, None),
    ReportedScface("ArcFace (ResNet-50)", 48.0, 92.0, 99.3, 79.8, None),
    ReportedScface("ArcFace-FT (ResNet-50)", 67.3, 93.5, 98.0, 86.3, None),
    ReportedScface("DCR-FT", 73.3, 93.5, 98.0, 88.3, 80),
    ReportedScface("FAN-FT", 77.5, 95.0, 98.3, 90.3, 80),
    ReportedScface("Proposed", 88.3, 98.3, 98.6, 95.0, 130),
]
"""Table II: SCface. It mixes two protocols: its own row is of 130 people, DCR-FT's and FAN-FT's can only be of 80."""

SCFACE_ELSEWHERE = [
    ReportedScface("QGFace", 92.31, 99.54, 100.0, None, 130, "song2023"),
    ReportedScface("NPT-Loss", 85.69, 99.08, 99.08, None, 130, "khalid2022"),
    ReportedScface("DDL", 86.8, 98.3, 98.3, None, None, "huang2020"),
]
"""Published elsewhere, not in the paper. DDL's figures are whole numbers of hits in both protocols."""


def rank1(protocol: str, network: str, width: int) -> Reported | None:
    """What the paper reports for a protocol, network and width, or None where its text gives no figure."""
    for row in RANK1:
        if (row.protocol, row.network, row.width) == (protocol, network, width):
            return row
    return None


@dataclass(frozen=True)
class ReportedSynthetic:
    """Accuracy on LFW's 6,000 pairs in per cent of a network trained on synthetic faces, and how many these were."""

    method: str
    made: str
    images: str
    accuracy: float


LFW_SYNTHETIC = [
    ReportedSynthetic("SynFace (2021)", "generative network with a 3D face model", "0.5 M", 91.93),
    ReportedSynthetic("SFace (2022)", "generative network", "0.6 M", 91.87),
    ReportedSynthetic("DigiFace (2023)", "computer graphics", "1 M", 95.40),
    ReportedSynthetic("IDiff-Face (2023)", "diffusion", "0.5 M", 98.00),
    ReportedSynthetic("DCFace (2023)", "diffusion", "0.5 M", 98.55),
    ReportedSynthetic("HSFace10K (2024)", "generative network", "0.5 M", 98.87),
]
"""As the authors of Vec2Face (arXiv 2409.02979) list them beside their own, HSFace10K. All but DigiFace are images from
networks that learnt to make faces from photos of real people; DigiFace is rendered, as ours are."""
