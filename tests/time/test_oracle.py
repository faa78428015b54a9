# SPDX-License-Identifier: Apache-2.0
"""The program against oracle.py; `make soak-time` does the same for longer and for every zone."""
import random

import oracle

SEED = 20260308
RULES = 8000


def test_random_rules_fire_when_brute_force_says():
    asked, instants = oracle.run_random(SEED, zone_count=24, rules=RULES)
    print(f"seed {SEED}: {asked} rules, {instants} instants")
    assert asked == RULES and instants > 0


def test_rules_around_clock_changes_of_2000_to_2040_fire_when_brute_force_says():
    rng = random.Random(SEED)
    names = rng.sample(oracle.Zones(rng).names, 40)
    changes, instants = oracle.run_sweep(names, rng, most=300)
    print(f"{changes} changes, {instants} instants")
    assert changes > 100
