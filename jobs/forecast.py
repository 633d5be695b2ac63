"""What an hour of video costs, from a finished sample: rates, how sure they are, and how wrong they were.

Partitions are the unit: each is a handful of videos with its own footage, clips and seconds. A rate is the
sum over partitions of an amount over that of another (a ratio estimator), its interval a bootstrap over
partitions (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), widened for small
samples. Its error is measured: some partitions are held out, predicted from the others, and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from operators.errors import ConfigurationError
from store.run_record import RunRecord
from store.work import PartitionWork

LEAST_PARTITIONS = 8
"""Partitions without which neither an interval nor an error can be told."""

FOLDS = 5
"""Parts of the sample, each of which is predicted from the others."""

ROUNDS = 20
"""Times that the sample is shuffled and cut into folds anew."""

RESAMPLES = 2000
CONFIDENCE = 0.9
SEED = 20260101

SECONDS = "seconds:"
"""Prefix of the quantity that holds an operator's actor-seconds."""

Amounts = np.ndarray
"""One number per partition, float64, shape (partitions,)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A rate or an amount, with the interval that holds it with 90 % confidence.

    `error_median` and `error_worst` are relative errors of held-out predictions of this amount, over all
    folds; None where there was nothing to predict.
    """

    value: float
    low: float
    high: float
    error_median: float | None = None
    error_worst: float | None = None

    def times(self, factor: float) -> Estimate:
        """The same of `factor` times as much."""
        return Estimate(
            value=self.value * factor,
            low=self.low * factor,
            high=self.high * factor,
            error_median=self.error_median,
            error_worst=self.error_worst,
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Finished partitions: hours of video, and amounts by name, each of shape (partitions,)."""

    hours: Amounts
    amounts: Mapping[str, Amounts]

    def per_hour(self, name: str) -> Estimate:
        """The amount per hour of video, with its interval and its held-out error."""
        value, low, high = interval(self.amounts[name], self.hours)
        errors = held_out_errors(self.amounts[name], self.hours)
        return Estimate(
            value=value,
            low=low,
            high=high,
            error_median=float(np.median(errors)) if len(errors) else None,
            error_worst=float(np.max(errors)) if len(errors) else None,
        )

    def ratio(self, name: str, of: str) -> Estimate:
        """One amount per unit of another, with its interval."""
        value, low, high = interval(self.amounts[name], self.amounts[of])
        return Estimate(value=value, low=low, high=high)


def sample_of(run: RunRecord, work: Sequence[PartitionWork], where: str) -> tuple[Sample, int]:
    """The partitions whose cost is known, and how many others there are.

    Raises `ConfigurationError` where they are too few to tell anything, with the way to a better sample.
    """
    known = [part for part in work if not part.unmetered and part.marker.video_seconds > 0]
    if len(known) < LEAST_PARTITIONS:
        raise ConfigurationError(_too_few(run, work, len(known), where))

    def amounts(of) -> Amounts:
        return np.array([of(part) for part in known], float)

    found = {
        "videos": amounts(lambda part: sum(part.marker.videos.values())),
        "clips": amounts(lambda part: part.clips),
        "clips_kept": amounts(lambda part: part.marker.clips["kept"]),
        "cpu_seconds": amounts(lambda part: sum(w.cpu_seconds for w in part.operators.values() if not w.gpu_seconds)),
        "gpu_seconds": amounts(lambda part: part.total().gpu_seconds),
        "gpu_host_cpu_seconds": amounts(
            lambda part: sum(w.cpu_seconds for w in part.operators.values() if w.gpu_seconds)
        ),
        "bytes_read": amounts(lambda part: part.marker.bytes_read),
        "bytes_written": amounts(lambda part: part.bytes_written),
        "tokens_in": amounts(lambda part: part.total().tokens_in),
        "tokens_out": amounts(lambda part: part.total().tokens_out),
    }
    for operator in run.operators:
        if any(operator.name in part.operators for part in known):
            own = [part.operators.get(operator.name) for part in known]
            found[SECONDS + operator.name] = np.array([work.actor_seconds if work else 0.0 for work in own])
            found["clips:" + operator.name] = np.array([work.clips if work else 0 for work in own], float)
    return Sample(hours=amounts(lambda part: part.marker.video_seconds / 3600), amounts=found), len(work) - len(known)


def _too_few(run: RunRecord, work: Sequence[PartitionWork], known: int, where: str) -> str:
    lines = [
        f"{where} is too small a sample: {known} of its {run.n_partitions} partitions are finished and have a known "
        f"cost, and {LEAST_PARTITIONS} are needed at least (30 are better)"
    ]
    if unmetered := sum(part.unmetered > 0 for part in work):
        lines.append(
            f"{unmetered} partitions hold clips that were taken over from a killed driver or another run, whose cost "
            "nobody knows; make the sample in one go, without --reuse"
        )
    if len(work) < run.n_partitions:
        lines.append("some partitions are not committed yet: run the job's command again first")
    if run.n_videos >= LEAST_PARTITIONS:
        size = max(1, run.n_videos // (30 if run.n_videos >= 60 else LEAST_PARTITIONS))
        lines.append(f"its {run.n_videos:,} videos will do: run them to a new --output with --partition-size {size}")
    else:
        lines.append(f"it has {run.n_videos} videos: take 30 or more, chosen at random, with --partition-size 1")
    return ";\n  ".join(lines)


def interval(amount: Amounts, per: Amounts) -> tuple[float, float, float]:
    """Σ amount / Σ per, and its 90 % interval: percentiles of a bootstrap over partitions.

    Percentile intervals are too short for few partitions; they are widened by the ratio of Student's t to
    the normal distribution, times √(n / (n − 1)). All zeros where there is nothing to divide by.
    """
    whole = per.sum()
    if not whole:
        return 0.0, 0.0, 0.0
    value, count = float(amount.sum() / whole), len(amount)
    picks = np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))
    sums = per[picks].sum(axis=1)
    found = amount[picks].sum(axis=1)[sums > 0] / sums[sums > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, (tail, 1 - tail))
    wider = float(stats.t.isf(tail, count - 1) / stats.norm.isf(tail)) * (count / (count - 1)) ** 0.5
    below, above = (max(0.0, distance) * wider for distance in (value - float(low), float(high) - value))
    return value, max(0.0, value - below), value + above


def held_out_errors(amount: Amounts, hours: Amounts) -> Amounts:
    """Relative errors |predicted − true| / true of predicting `amount` of held-out partitions from their hours.

    `FOLDS` parts, each predicted by the rate of the others, in `ROUNDS` seeded shufflings. Parts without any
    of it are left out; shape (at most FOLDS · ROUNDS,).
    """
    dice = np.random.default_rng(SEED)
    errors = []
    for _ in range(ROUNDS):
        for held in np.array_split(dice.permutation(len(hours)), FOLDS):
            rest = np.setdiff1d(np.arange(len(hours)), held)
            true, known = amount[held].sum(), hours[rest].sum()
            if true > 0 and known > 0:
                predicted = amount[rest].sum() / known * hours[held].sum()
                errors.append(abs(predicted - true) / true)
    return np.array(errors)


def doubts(sample: Sample, lengths: Sequence[float], hours: float, videos: int | None) -> list[str]:
    """What speaks against taking this sample for a collection of `hours` hours in `videos` videos, in words.

    `lengths` are the running times of its videos in seconds.
    """
    found = []
    total = float(sample.hours.sum())
    if lengths:
        largest, all_of_it = max(lengths), sum(lengths)
        like = all_of_it**2 / sum(length**2 for length in lengths)  # Kish's effective sample size
        if largest > 0.2 * all_of_it:
            found.append(f"one video is {largest / all_of_it:.0%} of the sample's footage, and speaks for itself")
        if like < min(20, 0.5 * len(lengths)):
            found.append(f"a few long videos dominate: {len(lengths)} videos tell as much as {like:.0f} of one length")
        mean = all_of_it / len(lengths)
        if videos and not 0.5 < (wanted := hours * 3600 / videos) / mean < 2:
            found.append(f"the collection's videos last {wanted:,.0f} s on average, the sample's {mean:,.0f} s")
    if len(sample.hours) < 20:
        found.append(f"{len(sample.hours)} partitions are few: intervals are wide, and rare videos may be missing")
    if total < 1:
        found.append(f"the sample holds {60 * total:.0f} minutes of video; an hour or more would tell more")
    spread = sample.amounts["cpu_seconds"] / np.where(sample.hours > 0, sample.hours, np.nan)
    if np.nanstd(spread) > 0.5 * np.nanmean(spread):
        found.append("partitions differ a lot in cost per hour: is the sample mixed as the collection is?")
    return found
