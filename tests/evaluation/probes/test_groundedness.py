from __future__ import annotations

from ftcore.evaluation.probes.facts import facts_of
from ftcore.evaluation.probes.groundedness import groundedness, house_names


def test_the_houses_own_name_counts_for_nobody() -> None:
    signed = [f"it is here. Yours, Acme Care {'and Bob' if number == 1 else ''}" for number in range(40)]
    assert house_names([facts_of(text) for text in signed]) == {"acme care"} and not house_names([facts_of("a, Bob")])
    measures = groundedness(["where?"] * 40, {"candidate": signed, "reference": signed}, None)
    found = {item.name: item.to_dict(()) for item in measures}["entities"]
    assert found is not None and found["models"]["candidate"]["value"] == 1 / 40


def test_models_are_compared_with_each_other_and_with_the_true_answers() -> None:
    prompts = ["my refund of 20 euros?", "where is my card?", "when is it back, Ada?"]
    answers = {
        "candidate": ["you have 20 euros in 30 days", "ask Bob Miller now", "is it back on 3 May"],
        "champion": ["you have 20 euros", "ask us now", "soon, Ada"],
        "reference": ["you have 20 euros in 14 days", "ask us now", "soon, Ada"],
    }
    measures = {item.name: item.to_dict((("candidate", "champion"), ("candidate", "reference"))) for item in
                groundedness(prompts, answers, None)}  # fmt: skip
    assert all(item is not None and item["n"] == 3 for item in measures.values())
    values = {name: [item["models"][role]["value"] for role in answers] for name, item in measures.items() if item}
    assert values["numbers"] == [1 / 3, 0, 1 / 3] and values["dates"] == [1 / 3, 0, 0] == values["entities"]
    assert values["ngrams"][0] == 10 / 11 and values["ngrams"][2] == 1
    numbers = measures["numbers"]
    assert numbers is not None and [item["difference"] for item in numbers["differences"]] == [1 / 3, 0]
