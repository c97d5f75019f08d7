"""The track hub, read back with a parser of its own that holds it to UCSC's rules."""

import math
import re
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.jobs.hub import hub_text

PARTS = ("imputed", "lower", "upper")
TRACK_SETTINGS = {
    "track", "bigDataUrl", "shortLabel", "longLabel", "type", "color", "parent", "container", "aggregate",
    "showSubtrackColorOnUi", "visibility", "autoScale", "alwaysZero", "viewLimits", "maxHeightPixels",
    "windowingFunction", "priority", "html",
}  # fmt: skip

texts = st.text(max_size=60) | st.sampled_from(
    ["a\nb c", "x\r\ntrack evil", "y\\", "\x85", "\u2028", "<b>'\"", "Läsion"]
)
urls = st.sampled_from(["tracks/a.bigWig", "https://host/t?key=1&x=%20", "a b\nc", "å\\"]) | st.text(min_size=1)
marks = st.sampled_from(["H3K4me3", "H2A.Z", "H2A_Z", "H2A Z", "DNase", "5mC", "H3K4me1"]) | texts
some_tracks = st.dictionaries(marks, st.dictionaries(st.sampled_from(PARTS), urls, min_size=1), min_size=1, max_size=13)


def stanzas(text: str) -> list[dict[str, str]]:
    """The stanzas of a file in UCSC's .ra format; strict about what its readers take differently."""
    assert text.isascii()
    assert "\\" not in text, "a reader joins a line that ends in a backslash with the next"
    assert text.splitlines() == text.removesuffix("\n").split("\n"), "a line break that is not one to all readers"
    found: list[dict[str, str]] = []
    for block in text.removesuffix("\n").split("\n\n"):
        stanza: dict[str, str] = {}
        for line in block.split("\n"):
            key, value = re.fullmatch(r"([A-Za-z]+) (\S(?:.*\S)?)", line).groups()
            assert key not in stanza, f"{key} is there twice"
            assert value.isprintable()
            stanza[key] = value
        found.append(stanza)
    return found


def checked(text: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The hub's stanza and its tracks by name, after the checks of UCSC's documentation and hubCheck."""
    hub, genome, *tracks = stanzas(text)
    assert next(iter(hub)) == "hub"
    assert {"hub", "shortLabel", "longLabel", "useOneFile"} <= hub.keys()
    assert hub.keys() <= {"hub", "shortLabel", "longLabel", "useOneFile", "email", "descriptionUrl"}
    assert hub["useOneFile"] == "on"
    assert re.fullmatch(r"[A-Za-z]\w*", hub["hub"], re.ASCII)
    assert list(genome) == ["genome"]
    by_name = {track["track"]: track for track in tracks}
    assert len(by_name) == len(tracks), "names are unique"
    for labelled in (hub, *tracks):
        assert len(labelled["shortLabel"]) <= 17
        assert len(labelled["longLabel"]) <= 76
    for name, track in by_name.items():
        assert next(iter(track)) == "track"
        assert track.keys() <= TRACK_SETTINGS
        assert re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)
        assert track["type"] == "bigWig"
        if "container" in track:
            assert track["container"] == "multiWig"
            assert "bigDataUrl" not in track
            assert sum(child.get("parent") == name for child in tracks) >= 2
        else:
            assert re.fullmatch(r"[!-~]+", track["bigDataUrl"])
            channels = track["color"].split(",")
            assert len(channels) == 3
            assert all(0 <= int(channel) <= 255 for channel in channels)
        if "parent" in track:
            assert "container" in by_name[track["parent"]]
            assert list(by_name).index(track["parent"]) < list(by_name).index(name)
        else:
            assert track["visibility"] == "full"
            low, high = map(float, track["viewLimits"].split(":"))
            assert low < high
            largest, normal, least = map(int, track["maxHeightPixels"].split(":"))
            assert largest >= normal >= least
        assert track.get("autoScale", "off") in ("on", "off"), "hubCheck: a bigWig takes nothing else"
    return hub, by_name


def interval(mark: str) -> Mapping[str, str]:
    return {part: f"tracks/{mark}.{part}.bigWig" for part in PARTS}


@given(texts, some_tracks, texts, st.dictionaries(marks, st.floats()), st.none() | urls)
@example("\n\ntrack evil\nbigDataUrl http://evil/\n", {"H3K4me3": {"imputed": "a\n\ntrack b"}}, "m\r", {}, None)
@example("", {"H2A.Z": interval("a"), "H2A_Z": interval("b"), "H2A_Z_2": interval("c")}, "", {}, None)
def test_any_names_make_a_valid_hub(
    sample: str,
    tracks: dict[str, dict[str, str]],
    model: str,
    maxima: dict[str, float],
    about: str | None,
) -> None:
    _, found = checked(hub_text(sample, "hg19", tracks, model=model, maxima=maxima, about=about))
    data = [track for track in found.values() if "bigDataUrl" in track]
    assert len(data) == sum(map(len, tracks.values()))
    assert len(found) - len(data) == sum(len(parts) > 1 for parts in tracks.values())


def test_a_hub_as_people_get_it() -> None:
    tracks = {"H3K4me3": {"imputed": "tracks/H3K4me3.bigWig"}, "H3K27me3": interval("H3K27me3")}
    hub, found = checked(
        hub_text(
            "liver, donor 3",
            "hg19",
            tracks,
            model="epifill-core5",
            email="lab@example.org",
            maxima={"H3K4me3": 187.0, "H3K27me3": 6.2},
        )
    )
    assert hub == {
        "hub": "epifill_liver_donor_3",
        "shortLabel": "liver, donor 3",
        "longLabel": "Marks imputed by Epifill (epifill-core5): liver, donor 3",
        "useOneFile": "on",
        "email": "lab@example.org",
    }
    assert list(found) == [
        "imputed_H3K4me3", "interval_H3K27me3", "upper_H3K27me3", "imputed_H3K27me3", "lower_H3K27me3",
    ]  # fmt: skip
    plain = found["imputed_H3K4me3"]
    assert plain["bigDataUrl"] == "tracks/H3K4me3.bigWig"
    assert plain["shortLabel"] == "H3K4me3 imputed"
    assert plain["longLabel"] == "H3K4me3 imputed by epifill-core5, -log10 p: liver, donor 3"
    assert plain["viewLimits"] == "0:20", "one peak does not flatten all others"
    overlay = found["interval_H3K27me3"]
    assert overlay["aggregate"] == "transparentOverlay"
    assert overlay["viewLimits"] == "0:7"
    assert overlay["longLabel"] == "H3K27me3 imputed with bounds by epifill-core5, -log10 p: liver, donor 3"
    assert {found[f"{part}_H3K27me3"]["parent"] for part in PARTS} == {"interval_H3K27me3"}
    assert {found[f"{part}_H3K27me3"]["bigDataUrl"] for part in PARTS} == set(interval("H3K27me3").values())
    assert len({found[f"{part}_H3K27me3"]["color"] for part in PARTS}) == 3


def test_no_view_is_flat_or_endless() -> None:
    for top, limits in ((0.0, "0:1"), (-1.0, "0:1"), (math.nan, "0:20"), (math.inf, "0:20"), (3.0, "0:3")):
        _, found = checked(hub_text("E1", "hg38", {"m": {"imputed": "m"}}, model="x", maxima={"m": top}))
        assert found["imputed_m"]["viewLimits"] == limits


def test_marks_have_their_own_colours() -> None:
    names = ["H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3", "H3K27ac", "H3K9ac", "DNase", "a", "b", "c", "d"]
    _, found = checked(hub_text("E1", "hg19", {name: {"imputed": name} for name in names}, model="x"))
    assert len({track["color"] for track in found.values()}) == len(names)
    assert [track["priority"] for track in found.values()] == [str(place) for place in range(1, 13)]


def test_a_page_about_the_results_is_linked() -> None:
    hub, found = checked(hub_text("E1", "hg19", {"m": interval("m")}, model="x", about="about.html"))
    assert hub["descriptionUrl"] == "about.html"
    assert found["interval_m"]["html"] == "about.html"


def test_escaped_urls_are_not_escaped_again() -> None:
    _, found = checked(hub_text("E1", "hg19", {"m": {"imputed": "https://h:1/H2A%2EZ b.bigWig?k=1&l=2"}}, model="x"))
    assert found["imputed_m"]["bigDataUrl"] == "https://h:1/H2A%2EZ%20b.bigWig?k=1&l=2"


def test_names_in_other_alphabets_stay_readable_or_get_a_stand_in() -> None:
    for sample, label in (("Läsion №3", "Lasion No3"), ("肝臓", "__"), (" \t", "unnamed"), ("a" * 99, "a" * 17)):
        hub, _ = checked(hub_text(sample, "hg19", {"m": {"imputed": "m"}}, model="x"))
        assert hub["shortLabel"] == label


@pytest.mark.parametrize(
    "wrong",
    [
        {"assembly": "hg19\ntrack x"},
        {"assembly": ""},
        {"email": "me"},
        {"email": "me@host\nx y"},
        {"email": "me@host\\"},
        {"tracks": {}},
        {"tracks": {"m": {}}},
        {"tracks": {"m": {"imputed": ""}}},
        {"tracks": {"m": {"observed": "m.bigWig"}}},
    ],
)
def test_what_no_hub_can_hold_is_refused(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"sample": "E1", "assembly": "hg19", "tracks": {"m": {"imputed": "m"}}, "model": "x"}
    with pytest.raises(ValueError, match=r"assembly|email|tracks|parts|URL"):
        hub_text(**(good | wrong))
