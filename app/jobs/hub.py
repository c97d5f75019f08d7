"""A UCSC track hub in a single file, so that a genome browser shows an imputation's results where they lie."""

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import quote

Stanza = dict[str, str]
Colour = tuple[int, int, int]

# The limits of the labels are those of the trackDb definition, https://genome.ucsc.edu/goldenPath/help/trackDb/
_SHORT_LABEL, _LONG_LABEL, _NAME = 17, 76, 40
# -log10 p of a peak has no upper limit, so a view scaled to the highest one would leave all others flat.
_VIEW_TOP = 20

# In the order of drawing; a label and how far the mark's colour goes to white (positive) or black (negative).
_PARTS = {"upper": ("upper bound", 0.6), "imputed": ("imputed", 0.0), "lower": ("lower bound", -0.4)}
_COLOURS: dict[str, Colour] = {
    "H3K4me3": (200, 30, 30),
    "H3K4me1": (225, 130, 0),
    "H3K36me3": (0, 128, 60),
    "H3K27me3": (95, 95, 105),
    "H3K9me3": (95, 70, 170),
    "H3K27ac": (190, 155, 0),
    "H3K9ac": (200, 75, 140),
    "DNase": (30, 80, 170),
}
_OTHER_COLOURS: tuple[Colour, ...] = ((0, 125, 135), (140, 85, 45), (110, 130, 20), (150, 40, 130))


def hub_text(
    sample: str,
    assembly: str,
    tracks: Mapping[str, Mapping[str, str]],
    *,
    model: str,
    maxima: Mapping[str, float] | None = None,
    email: str | None = None,
    about: str | None = None,
) -> str:
    """Write the `hub.txt` of an imputation's results.

    A mark with bounds becomes one overlay (`multiWig`) of transparent bars: dark up to the lower bound, the mark's
    colour up to the imputed value, pale up to the upper bound. A mark without them becomes a plain bigWig track.

    Parameters
    ----------
    sample, model
        Names for people, any text; they end in labels, in plain ASCII, cut to what the browser shows.
    assembly
        The browser's name of the assembly, such as hg19.
    tracks
        By mark, in the order to show; for `imputed`, `lower` and `upper`, as far as there is one, the URL of its
        bigWig, absolute or relative to `hub.txt`.
    maxima
        By mark, the highest value worth showing, -log10 p-value; a view never starts out higher than 20.
    email
        The contact that a hub names; None leaves it out, which UCSC's browser takes (its documentation asks for one).
    about
        URL of a page on the results, with a name that ends in `.html`. UCSC works without it, though its `hubCheck`
        warns; some releases of JBrowse 2 refuse a single-file hub that has none.

    Returns
    -------
    str
        Stanzas of `setting value` lines, each but the last followed by a blank line: `hub`, `genome`, and the tracks.

    Raises
    ------
    ValueError
        There are no tracks or unknown parts, or the assembly or the email is not one.

    Notes
    -----
    The format: https://genome.ucsc.edu/goldenPath/help/hgTrackHubHelp.html and, for `useOneFile`, hubBasics.html.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", assembly):
        raise ValueError(f"{assembly!r} is not the name of an assembly")
    if email is not None and not re.fullmatch(r"[!-?A-\[\]-~]+@[!-?A-\[\]-~]+", email):
        raise ValueError(f"{email!r} is not an email address")
    if not tracks or not all(tracks.values()):
        raise ValueError("a hub needs tracks")
    for mark, parts in tracks.items():
        if unknown := parts.keys() - _PARTS.keys():
            raise ValueError(f"{mark} has unknown parts: {', '.join(sorted(unknown))}")
    pages = {"html": _url(about)} if about else {}
    hub = {
        "hub": f"epifill_{_slug(sample)}",
        "shortLabel": _label(sample, _SHORT_LABEL),
        "longLabel": _label(f"Marks imputed by Epifill ({model}): {sample}", _LONG_LABEL),
        "useOneFile": "on",
        **({"email": email} if email else {}),
        **({"descriptionUrl": pages["html"]} if about else {}),
    }
    stanzas = [hub, {"genome": assembly}]
    others = itertools.cycle(_OTHER_COLOURS)
    names = _names(tracks)
    for place, (mark, urls) in enumerate(tracks.items(), start=1):
        colour = _COLOURS.get(mark) or next(others)
        origin = f"by {model}, -log10 p: {sample}"
        view = {**_view((maxima or {}).get(mark)), "priority": str(place), **pages}
        stanzas += _mark(mark, names[mark], urls, colour, origin, view)
    return "\n".join("".join(f"{key} {value}\n" for key, value in stanza.items()) for stanza in stanzas)


def _mark(mark: str, name: str, urls: Mapping[str, str], colour: Colour, origin: str, view: Stanza) -> list[Stanza]:
    """The stanzas of one mark: a track, or a container and the tracks in it."""
    leaves = []
    for part, (what, shift) in _PARTS.items():
        if part in urls:
            leaf = {"track": f"{part}_{name}", "bigDataUrl": _url(urls[part])}
            leaf |= _labels(mark, part, f"{mark} {what} {origin}")
            leaves.append(leaf | {"type": "bigWig", "color": ",".join(map(str, _shade(colour, shift)))})
    if len(leaves) == 1:  # hubCheck refuses a multiWig of one
        return [leaves[0] | view]
    container = {"track": f"interval_{name}", "container": "multiWig", "type": "bigWig"}
    container |= _labels(mark, "imputed", f"{mark} imputed with bounds {origin}")
    container |= {"aggregate": "transparentOverlay", "showSubtrackColorOnUi": "on", **view}
    return [container, *({**leaf, "parent": container["track"]} for leaf in leaves)]


def _view(top: float | None) -> Stanza:
    """A fixed scale from zero, so that heights compare between places and marks."""
    highest = _VIEW_TOP if top is None or not math.isfinite(top) else min(_VIEW_TOP, max(1, math.ceil(top)))
    return {
        "visibility": "full",
        "autoScale": "off",
        "alwaysZero": "on",
        "viewLimits": f"0:{highest}",
        "maxHeightPixels": "128:48:16",
        "windowingFunction": "mean",
    }


def _labels(mark: str, ending: str, long: str) -> Stanza:
    return {"shortLabel": _label(mark, _SHORT_LABEL, f" {ending}"), "longLabel": _label(long, _LONG_LABEL)}


def _label(text: str, limit: int, ending: str = "") -> str:
    """One line of harmless ASCII, never empty, at most `limit` characters with the ending."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    # A line break would start a setting, a final backslash join two lines, and < or ' upset pages that show a label.
    plain = re.sub(r"[^A-Za-z0-9 .,:;()+/=_-]", "_", " ".join(bare.split()))
    return (plain[: limit - len(ending)].rstrip() or "unnamed") + ending


def _slug(text: str) -> str:
    """Letters, digits and underscores alone, which is what names of hubs and tracks may have."""
    return re.sub(r"[^A-Za-z0-9]+", "_", _label(text, _NAME)).strip("_") or "unnamed"


def _names(marks: Iterable[str]) -> dict[str, str]:
    """A name for the tracks of each mark, different for each."""
    names: dict[str, str] = {}
    for mark in marks:
        slug = _slug(mark)
        candidates = itertools.chain([slug], (f"{slug}_{number}" for number in itertools.count(2)))
        names[mark] = next(name for name in candidates if name not in names.values())
    return names


def _url(url: str) -> str:
    """A URL without blanks, control characters and backslashes; what is already escaped stays."""
    if not url:
        raise ValueError("a track needs a URL")
    return quote(url, safe="%/:?&=~+,;@!()*[]", errors="replace")


def _shade(colour: Colour, shift: float) -> Colour:
    """A colour moved towards white (`shift` up to 1) or black (down to -1)."""
    goal = 255 if shift > 0 else 0
    red, green, blue = (round(channel + (goal - channel) * abs(shift)) for channel in colour)
    return red, green, blue
