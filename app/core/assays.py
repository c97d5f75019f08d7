"""The field's assays: their standard spelling, and how people write them by hand and in the names of files.

A model knows some of them. The others are recognised too, so that a track of one of them is set aside by its name,
and is not taken for a slip of the pen.
"""

import re
from collections.abc import Iterator, Sequence

from app.core.errors import AmbiguousMark

_RESIDUES = {
    "H3": "R2 T3 K4 R8 K9 S10 T11 K14 R17 K18 K23 R26 K27 S28 K36 K37 Y41 T45 K56 K64 K79 K115 K122",
    "H4": "S1 R3 K5 K8 K12 K16 K20 K31 K44 K59 K91",
    "H2A": "S1 K5 K9 K13 K15 K36 K95 K118 K119 T120 Y142",
    "H2B": "K5 K12 S14 K15 K16 K20 K34 K46 K120",
    "H1": "K26",
}
"""By histone: the residues whose modifications are assayed."""

_MODIFICATIONS = {
    "K": "me1 me2 me3 ac ub cr la bu pr su bhb hib",
    "R": "me1 me2 me2a me2s cit",
    "S": "ph",
    "T": "ph",
    "Y": "ph",
}
"""By amino acid, in one letter."""

_ASSAYS = {
    "H3ac": "h3_?(pan)?ac|h3k9_?k?14ac",
    "H4ac": "h4_?(pan)?ac|h4k5_?k?8ac",
    "H2A.Z": "h2a_?(z1?|fz)",
    "H3.3": "h3f3a",
    "gH2AX": "((g|gamma|\u03b3)_?)?h2a_?x",
    "macroH2A": "m(acro)?_?h2a_?1?",
    "DNase": "d_?nase_?(i|1)?_?(seq|hs|dgf)?|dhs",
    "ATAC": "((sc|sn|omni)_?)?atac_?(seq)?",
    "FAIRE": "faire_?(seq)?",
    "MNase": "m_?nase_?(seq)?",
    "CTCF": "ctcf",
    "Pol2": "(rna_?)?pol(ymerase)?_?(2|ii)[ab]?|rnap_?(2|ii)|polr2a",
    "EP300": "p300",
    "RAD21": "rad21",
    "SMC3": "smc3",
    "YY1": "yy1",
    "REST": "nrsf",
    "EZH2": "ezh2",
    "RNA-seq": "((total|poly_?a|m|sc|sn)_?)?rna_?seq",
    "WGBS": "wgbs|bs_?seq|bisulfite_?seq",
    "RRBS": "rrbs",
    "MeDIP": "medip_?(seq)?",
    "MRE": "mre_?seq",
    "CAGE": "cage_?(seq)?",
}
"""Assays but histone modifications, and how each may be written: in lower case, `_` for any blank, dot or dash."""

_CONTROLS = {
    "Input": "(chip_?(seq_?)?)?(input|control)_?(dna|chip)?|ctrl|ctl|wce|whole_?cell_?extract|mock",
    "IgG": "(anti_?)?((rabbit|mouse)_?)?igg",
    "H3": "h3",
    "H4": "h4",
}
"""Controls, likewise. In a name they count only where no assay does: `H3K4me3.over.Input.bw` is H3K4me3."""

_HISTONE = re.compile(
    r"(?:(?P<histone>H(?:2A|2B|1|3|4))(?P<apart>[ ._-]?))?(?P<letter>[KRSTY])(?P<number>[0-9]{1,3})"
    r"(?P<modification>me2[as](?![a-z])|me[0-9]+"
    r"|(?:ac|ub1|ub|ph|p|cr|cit|la|bu|pr|su|bhb|hib)(?-i:(?!(?!rep|r[0-9])[a-z])))",
    re.IGNORECASE | re.ASCII,
)
_SAME = {"ub1": "ub", "p": "ph"}
_UNNAMED = dict.fromkeys(_RESIDUES["H3"].split(), "H3") | {"K20": "H4"}
"""The histone that is meant where none is named, as in `K4me3`."""

_BETWEEN = re.compile(r"[\s._/-]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST = 300


def canonical(text: str, marks: Sequence[str] = ()) -> str | None:
    """The standard spelling of a mark or another assay; None for what is neither.

    Parameters
    ----------
    text
        As a person writes it: `h3k4me3`, `H3k04me3`, `K4me3`, `DNase-seq`, `wce`.
    marks
        Marks of models, which are understood whatever they are called; their case does not matter either.
    """
    text = text.strip()[:_LONGEST]
    match = _HISTONE.fullmatch(text)
    if match and (mark := _modification(match)):
        return mark
    spelled = _BETWEEN.sub("_", text)
    for ways in (_ASSAYS, _CONTROLS):
        for name, way in ways.items():
            if text.casefold() == name.casefold() or re.fullmatch(way, spelled, re.IGNORECASE):
                return name
    return next((mark for mark in marks if mark.casefold() == text.casefold()), None)


def mark_of_file(name: str, marks: Sequence[str], ask: str) -> str:
    """Read the mark or assay from a file name such as `E003-H3K4me3.pval.signal.bigWig` or `K4me3rep1.bw`.

    Parameters
    ----------
    marks
        Marks of models, which are found whatever they are called.
    ask
        What to do where the name does not tell, for the message: `give it in the field 'mark'`.

    Raises
    ------
    AmbiguousMark
        The name holds no mark, or more than one.
    """
    text = name[:_LONGEST]
    words = {word.casefold() for word in re.split(r"[^A-Za-z0-9]+", text)}
    own = [mark for mark in marks if canonical(mark) is None and mark.casefold() in words]
    found = list(dict.fromkeys([*_modifications(text), *_named(text, _ASSAYS), *own]))
    found = found or list(dict.fromkeys(_named(text, _CONTROLS)))
    if len(found) == 1 and canonical(found[0], marks):
        return found[0]
    if len(found) > 1:
        says = f"'{name[:80]}' names both {found[0]} and {found[1]}"
    else:
        says = f"The mark of '{name[:80]}' cannot be told from its name"
    raise AmbiguousMark(f"{says}; {ask}.", name)


def _modifications(text: str) -> Iterator[str]:
    """The histone modifications in a name; one of a residue that its histone lacks, as it stands there."""
    end = 0
    for match in _HISTONE.finditer(text):
        glued = match.start() > end and text[match.start() - 1].isalnum()
        end = match.end()
        if match["histone"] or not glued:  # `xK4me3` may be anything
            yield _modification(match) or match[0]


def _modification(match: re.Match[str]) -> str | None:
    """The standard spelling of a histone modification; None if there is no such one."""
    residue = f"{match['letter'].upper()}{int(match['number'])}"
    modification = match["modification"].lower()
    modification = _SAME.get(modification, modification)
    histone = match["histone"] and match["histone"].upper()
    if histone is None or (histone == "H1" and match["apart"] and residue != "K26"):  # cell line H1
        histone = _UNNAMED.get(residue)
    if histone is None or residue not in _RESIDUES[histone].split():
        return None
    return f"{histone}{residue}{modification}" if modification in _MODIFICATIONS[residue[0]].split() else None


def _named(text: str, ways: dict[str, str]) -> Iterator[str]:
    """Those of `ways` that a name holds as words, be they set apart, `K562_Ctcf_2`, or by capitals, `K562CtcfRep2`."""
    apart = _BETWEEN.sub("_", text)
    for spelled in (apart, _CAMEL.sub("_", apart)):
        for name, way in ways.items():
            if re.search(rf"(?<![a-z0-9])({way})(rep)?[0-9]{{0,2}}(?![a-z0-9])", spelled, re.IGNORECASE):
                yield name
