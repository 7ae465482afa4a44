import dataclasses

import pytest

from tamis.report import facts
from tamis.schemas import balance, check, geometry, plan


def share(stratum, quota, samples, supply):
    rows = min(quota, supply)
    return plan.Share(
        stratum=stratum, quota=quota, epochs=quota / rows, share=quota / samples, rows=rows
    )


def budget(samples, error, strata, parts):
    allocation = [
        share(s.name, round(samples * p), samples, s.supply)
        for s, p in zip(strata, parts, strict=True)
        if p
    ]
    other = plan.Alternative(
        name=f"{strata[-1].name} alone",
        predicted_error=error + 0.0213,
        interval=(error, error + 0.04),
        gap=0.0213,
        gap_interval=(0.011, 0.032),
        allocation=[],
    )
    return plan.Budget(
        samples=samples,
        amount=samples,
        spent=samples,
        strategy="mixture",
        allocation=allocation,
        predicted_error=error,
        interval=(error - 0.02, error + 0.02),
        runner_up=other,
        runners_up=[other],
        marginal=[
            plan.Marginal(
                stratum=s.name,
                per_row=-1e-5,
                per_row_interval=(-2e-5, -5e-6),
                per_1000_rows=-0.01,
                interval=(-0.02, -0.005),
            )
            for s in strata
        ],
        law="SignalNoise",
        measurements=1234,
        largest_pilot=samples // 4,
        summary=f"Train {samples:,} samples on a mixture",
    )


def point(samples, error, parts, strata):
    others = {f"{s.name} alone": error + 0.01 * (i + 1) for i, s in enumerate(strata)}
    return plan.Point(
        amount=samples,
        samples=samples,
        strategy="mixture",
        shares=list(parts),
        rows=[min(s.supply, round(samples * p)) for s, p in zip(strata, parts, strict=True)],
        predicted_error=error,
        interval=(error - 0.02, error + 0.02),
        alternatives={**others, "equal shares": error + 0.05},
    )


def score(samples, law, held_out, *, chosen):
    return plan.LawScore(
        budget=samples,
        law=law,
        held_out_error=held_out,
        mixture_error=0.0123,
        fitted_error=0.004,
        weight=float(chosen),
        chosen=chosen,
        parameters={"alpha": (0.5, 0.4, 0.6)},
        warnings=[],
    )


def curve(stratum):
    samples = [100.0, 400.0, 1600.0, 6400.0, 25600.0]
    error, utility = [0.45, 0.36, 0.33, 0.34, 0.36], [0.2, 0.1, 0.02, -0.02, -0.03]
    return plan.Fitted(
        stratum=stratum.name,
        supply=stratum.supply,
        samples=samples,
        error=error,
        error_ends=[(e - 0.01, e + 0.01) for e in error],
        utility=utility,
        utility_ends=[(u - 0.02, u + 0.02) for u in utility],
    )


def made(names=("movie", "amazon"), samples=(500, 2000, 8000)):
    supplies = [600, 31320, 4000]
    strata = [
        plan.Stratum(name=n, source=n.partition("/")[0], tier=-1, supply=supplies[i % 3])
        for i, n in enumerate(names)
    ]
    parts = [1 - 0.25 * (len(names) - 1) / len(names)] + [0.25 / len(names)] * (len(names) - 1)
    swept = [n * f for n in samples for f in (0.5, 1, 2)]
    return plan.Plan(
        summary="Below about 1,300 samples use movie alone, above a mixture.",
        mode="mixture",
        max_epochs=None,
        max_fraction=0.25,
        seed=17,
        chance=0.5,
        strata=strata,
        budgets=[budget(n, 0.35 - 0.01 * i, strata, parts) for i, n in enumerate(samples)],
        crossings=[
            plan.Crossing(
                kind="chosen",
                amount=1300,
                interval=(900, 2100),
                samples=1300,
                before="movie alone",
                after="mixture",
                sentence="Below about 1,300 samples use movie alone, above a mixture.",
            ),
            plan.Crossing(
                kind="named",
                amount=5000,
                interval=(None, 7000),
                samples=5000,
                before="movie alone",
                after="equal shares",
                sentence="Of the named strategies, equal shares is best above.",
            ),
        ],
        frontier=[point(int(n), 0.36 - 0.00001 * n, parts, strata) for n in sorted({*swept})],
        laws=[
            score(n, law, held, chosen=law == "SignalNoise")
            for n in samples
            for law, held in (("SignalNoise", 0.0043), ("Power", 0.0144))
        ],
        fitted=[curve(s) for s in strata],
        notes=["Error rises with repetition.", "500 samples: SignalNoise predicts."],
    )


def checked(samples=(500, 2000, 8000)):
    def measured(error):
        return check.Measured(error=error, standard_error=0.0021, errors=[error])

    return check.Check(
        seeds=5,
        chance=0.5,
        budgets=[
            check.Budget(
                samples=n,
                predicted_error=0.35,
                interval=(0.33, 0.37),
                chosen=measured(0.3456),
                random=measured(0.3987),
                everything=measured(0.4021),
                top=measured(0.3401),
                gains={
                    "random": check.Gain(mean=0.0531, interval=(0.0502, 0.056)),
                    "everything": check.Gain(mean=0.0565, interval=(0.053, 0.06)),
                    "top": check.Gain(mean=-0.0055, interval=(-0.008, -0.003)),
                },
                gain=0.0531,
            )
            for n in samples
        ],
    )


@pytest.fixture
def known():
    return facts.Facts(
        name="demo",
        plan=made(),
        check=checked(),
        pilots=(
            facts.Curve("movie", 600, (100, 1000, 32000), (0.45, 0.33, 0.37)),
            facts.Curve("movie", 150, (100, 1000, 32000), (0.45, 0.36, 0.41)),
            facts.Curve("amazon", 31320, (100, 1000, 32000), (0.46, 0.4, 0.38)),
        ),
        contrasts=(
            facts.Contrast(
                "movie, by prototypes",
                "highest scores",
                "lowest scores",
                (facts.Example("a fine film", 0.9, "ab" * 16),),
                (facts.Example("", -0.25, "cd" * 16),),
            ),
        ),
        balance=(balance.Balance(500, 31950, 500, 31420, 20, {"malformed": 7, "empty_text": 3}),),
        intake=(facts.Intake("movie", 610, 600, {"malformed": 7, "empty_text": 3}),),
        geometry=geometry.Geometry(
            rows=4096,
            dimension=256,
            intrinsic_dimension=14.23,
            distinct=31.9,
            cluster_imbalance=1.77,
            classes={"pos": 3000, "neg": 1000},
            nearest_other_label=0.125,
        ),
        seconds=(("ingest", 0.191), ("pilot", 185.0)),
        versions=(("tamis", "0.1.0"), ("python", "3.11.9")),
        seed=17,
        git="63167cb",
        config="version: 1\nrun: runs/demo\n",
    )


@pytest.fixture
def vary(known):
    def vary(names=None, samples=(500, 2000, 8000), **changes):
        plan_ = made(names or ("movie", "amazon"), samples)
        return dataclasses.replace(known, plan=plan_, **changes)

    return vary
