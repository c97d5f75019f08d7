"""Pictures of single tracks: a held-out sample's, each imputed alone by a method that never saw the sample."""

from collections.abc import Callable

from training.baselines.samples import SampleMeans
from training.benchmark.protocols import leave_one_out, measured_marks
from training.benchmark.run import Bench
from training.common.method import Method
from training.paper.figures import Locus, draw_scatter, draw_tracks, find_locus


def draw_examples(bench: Bench, method: Method, sample: str, advance: Callable[[], None] = lambda: None) -> None:
    """Impute each mark of a sample from its others, and draw all bins, and a locus of each mark.

    Writes METHOD-scatter.png and METHOD-loci.png into the bench's folder. The loci show the interval, if the method
    gives one, and the mean of the training samples. A fit of the benchmark is reused if there is one.
    """
    dataset = bench.dataset
    others = [other for other in dataset.samples if other != sample]
    imputer = bench.fit(method, others)
    mean = SampleMeans(dataset, others, raw=True).mean()
    scatters, loci = [], []
    for case in leave_one_out(dataset, [sample]):
        imputed = imputer.impute(dataset, sample, case.observed)
        (mark,) = set(measured_marks(dataset, sample)) - set(case.observed)
        row = dataset.marks.index(mark)
        truth = dataset.values(sample)[row]
        first, last = find_locus(truth, dataset)
        lower, upper = (None if side is None else side[row, first:last] for side in (imputed.lower, imputed.upper))
        scatters.append((mark, truth, imputed.values[row]))
        loci.append(
            Locus(
                f"{sample} {mark}",
                dataset.region_of(first, last),
                imputed.values[row, first:last],
                truth[first:last],
                lower,
                upper,
                mean[row, first:last],
            )
        )
        advance()
    draw_scatter(scatters, bench.out / f"{method.name}-scatter.png")
    draw_tracks(loci, dataset.bin_size_bp, bench.out / f"{method.name}-loci.png")
