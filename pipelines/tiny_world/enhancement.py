"""Measures how often the demo rewriter keeps what a prompt tells, on combinations and wordings it never saw.

python -m pipelines.tiny_world.enhancement --model pipelines/tiny_world/qwen --prompts 200
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.prompt_cleaning import judge
from pipelines.prompt_writing import ENGLISH
from pipelines.tiny_world.enhancement_checks import check_copy, check_rewriting
from pipelines.tiny_world.rewriting import answer
from pipelines.tiny_world.rewriting_copies import copy_pair
from pipelines.tiny_world.rewriting_pairs import pair
from pipelines.tiny_world.rewriting_wishes import Wish, random_wish

WAYS: Final[dict[str, dict[str, Any]]] = {
    "greedy": {"do_sample": False, "temperature": None, "top_p": None, "top_k": None},
    "sampled": {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
}
"""How answers are drawn; the product samples."""

EVERYTHING: Final = "everything told is kept"
ACCEPTED: Final = "accepted by the studio's own check"
"""That check knows nothing of this world and refuses some right answers too: see the row of the true targets."""
_BATCH: Final = 50


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A prompt that training never saw. ``wish`` is None where its unknown words have to be copied."""

    film: bool
    text: str
    target: str
    wish: Wish | None = None

    def check(self, reply: str, ended: bool) -> dict[str, bool]:
        """Every check of the trial and its outcome."""
        if self.wish is None:
            return check_copy(self.text, reply, ended)
        return check_rewriting(self.wish, reply, ended)


def held_out_trials(count: int, copies: int, seed: int = 77) -> list[Trial]:
    """``count`` prompts of held-out combinations, pictures and films in turn, every third opened in words that training
    never showed; then ``copies`` prompts of words that training never showed.
    """
    rng = random.Random(seed)
    trials = []
    for index in range(count):
        wish = random_wish(rng, held_out=True, film=index % 2 == 1)
        text, target = pair(wish, rng, unseen=index % 3 == 0)
        trials.append(Trial(film=wish.film, text=text, target=target, wish=wish))
    for index in range(copies):
        text, target = copy_pair(rng, film=index % 2 == 1, held_out=True)
        trials.append(Trial(film=index % 2 == 1, text=text, target=target))
    return trials


def score(trials: Sequence[Trial], replies: Sequence[tuple[str, bool]]) -> dict[str, tuple[int, int]]:
    """Right answers and answers by check, and by kind of prompt over all its checks."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for trial, (reply, ended) in zip(trials, replies, strict=True):
        answers = trial.check(reply, ended)
        rows = dict(answers)
        rows[ACCEPTED] = judge(trial.text, reply, ENGLISH, finished=ended).prompt is not None
        if trial.wish is not None:
            rows[EVERYTHING] = all(answers.values())
            rows[f"{'film' if trial.film else 'picture'}: {EVERYTHING}"] = all(answers.values())
        for name, right in rows.items():
            table[name][0] += int(right)
            table[name][1] += 1
    return {name: (right, total) for name, (right, total) in sorted(table.items())}


def replies_of(model: Any, tokenizer: Any, trials: Sequence[Trial], way: str, seed: int = 1) -> list[tuple[str, bool]]:
    """The model's answers, and whether each came to its end."""
    torch.manual_seed(seed)
    replies: list[tuple[str, bool]] = []
    for start in range(0, len(trials), _BATCH):
        requests = [(trial.film, trial.text) for trial in trials[start : start + _BATCH]]
        replies += answer(model, tokenizer, requests, **WAYS[way])
    return replies


def report(results: dict[str, dict[str, tuple[int, int]]]) -> str:
    """The results as a Markdown table: a row a check, a column a way."""
    lines = [f"| check | {' | '.join(results)} |", f"| --- |{' --- |' * len(results)}"]
    for name in next(iter(results.values())):
        cells = [
            f"{100 * right / total:.1f} % ({right} of {total})" for right, total in (r[name] for r in results.values())
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def checker_results(trials: Sequence[Trial]) -> dict[str, dict[str, tuple[int, int]]]:
    """What the checks say of the true answers, and of those of other prompts of the same kind."""
    views = [trial for trial in trials if trial.wish is not None]
    copies = [trial for trial in trials if trial.wish is None]
    shuffled = [other.target for group in (views, copies) for other in (*group[7:], *group[:7])]
    return {
        "true targets": score(trials, [(trial.target, True) for trial in trials]),
        "targets of other prompts": score([*views, *copies], [(text, True) for text in shuffled]),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--json", type=Path, help="also writes figures, prompts and answers here")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trials = held_out_trials(options.prompts, options.copies)
    checker = checker_results(trials)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    replies = {way: replies_of(model, tokenizer, trials, way) for way in WAYS}
    results = {way: score(trials, replies[way]) for way in WAYS}
    print(f"The checker itself:\n\n{report(checker)}\n\nThe rewriter:\n\n{report(results)}")
    if options.json:
        answers = [
            {"prompt": trial.text, "film": trial.film, **{way: replies[way][index][0] for way in WAYS}}
            | {"wrong": {way: [k for k, ok in trial.check(*replies[way][index]).items() if not ok] for way in WAYS}}
            for index, trial in enumerate(trials)
        ]
        options.json.write_text(
            json.dumps({"checker": checker, "results": results, "answers": answers}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
