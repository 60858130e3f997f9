"""Who is compared: the main models and the ablations, each with the model it is held against, and their seeds."""

from dataclasses import dataclass

from features.errors import ConfigError
from model.config import ALL_RANKERS, BASE, GATESID, PRESETS, SAVIORREC, SMILE

CONTROLS = ("sid_only", "sid_concatenated", "static_average", "frozen_content")
MAIN = (BASE, GATESID, SAVIORREC, SMILE, *CONTROLS)
ALL = "all"


@dataclass(frozen=True)
class Models:
    """Every ranker in every preset; main models have `seeds` seeds, ablations fewer."""

    rankers: tuple[str, ...]  # the first is what main models are compared with
    presets: tuple[str, ...]
    seeds: int
    ablation_seeds: int

    def __post_init__(self) -> None:
        """Raises ConfigError: every fault, listed."""
        faults = [*wrong_names("--rankers", self.rankers, ALL_RANKERS), *wrong_names("--presets", self.presets, PRESETS)]
        faults += [f"{flag} must be at least 1, got {count}"
                   for flag, count in (("--seeds", self.seeds), ("--ablation-seeds", self.ablation_seeds)) if count < 1]
        if faults:
            raise ConfigError("; ".join(faults))

    def seeds_of(self, ranker: str) -> list[int]:
        return list(range(1, 1 + (min(self.seeds, self.ablation_seeds) if is_ablation(ranker) else self.seeds)))

    def main(self) -> list[str]:
        return [ranker for ranker in self.rankers if not is_ablation(ranker)]

    def ablations(self) -> list[str]:
        return [ranker for ranker in self.rankers if is_ablation(ranker)]

    def held_against(self) -> dict[str, str]:
        """Whom each ranker but the first is compared with: an ablation with the whole model where that is asked for too."""
        first, *others = self.rankers
        return {ranker: whole if (whole := whole_of(ranker)) in self.rankers else first for ranker in others}


def rankers_named(text: str) -> tuple[str, ...]:
    """`all`, main models first, or names with commas between."""
    if text != ALL:
        return tuple(text.split(","))
    return (*MAIN, *(ranker for ranker in ALL_RANKERS if is_ablation(ranker)))


def is_ablation(ranker: str) -> bool:
    return ranker not in MAIN


def whole_of(ranker: str) -> str | None:
    """The model that an ablation leaves something out of: gatesid of gatesid_without_alignment."""
    if not is_ablation(ranker):
        return None
    return next((whole for whole in (GATESID, SAVIORREC, SMILE) if ranker.startswith(f"{whole}_")), None)


def tuned_as(ranker: str) -> str:
    """Whose rates a ranker learns with. An ablation has those of the whole model: it differs in what it leaves out alone, and
    not in what a search over noisy days happened to find for it."""
    return whole_of(ranker) or ranker


def has_sids(ranker: str) -> bool:
    return ranker != BASE


def quantiser_of(ranker: str) -> str | None:
    """Which codebook a ranker's SIDs are of: SMILE's has OPQ codes, the others' is an RQ-VAE. None: it reads no SID."""
    if not has_sids(ranker):
        return None
    return SMILE if ranker.startswith(SMILE) else GATESID


def wrong_names(flag: str, given: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    unknown = [name for name in given if name not in known]
    if not unknown and len(set(given)) == len(given):
        return []
    return [f"{flag} expects different ones of {', '.join(known)}; got {','.join(given)!r} "
            f"({', '.join(unknown) + ' unknown' if unknown else 'one twice'})"]
