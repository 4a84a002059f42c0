"""Names as the kwok provider gives them to nodes: Karpenter tries nodes by name, so their order is chance of this shape.

Source: the adjectives of docker's namesgenerator, which kubernetes-sigs/karpenter kwok/cloudprovider uses at 1.14.
"""

from __future__ import annotations

import numpy as np

ADJECTIVES = tuple(
    word
    for line in (
        "admiring adoring affectionate agitated amazing angry awesome beautiful blissful bold boring brave busy",
        "charming clever compassionate competent condescending confident cool cranky crazy dazzling determined",
        "distracted dreamy eager ecstatic elastic elated elegant eloquent epic exciting fervent festive flamboyant",
        "focused friendly frosty funny gallant gifted goofy gracious great happy hardcore heuristic hopeful hungry",
        "infallible inspiring intelligent interesting jolly jovial keen kind laughing loving lucid magical modest",
        "musing mystifying naughty nervous nice nifty nostalgic objective optimistic peaceful pedantic pensive",
        "practical priceless quirky quizzical recursing relaxed reverent romantic sad serene sharp silly sleepy stoic",
        "strange stupefied suspicious sweet tender thirsty trusting unruffled upbeat vibrant vigilant vigorous wizardly",
        "wonderful xenodochial youthful zealous zen",
    )
    for word in line.split()
)


def node_name(chance: np.random.Generator) -> str:
    """An adjective and a number."""
    return f"{ADJECTIVES[int(chance.integers(len(ADJECTIVES)))]}-{int(chance.integers(2**32))}"
