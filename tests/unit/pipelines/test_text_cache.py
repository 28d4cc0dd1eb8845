from __future__ import annotations

from pipelines.text_cache import TextCache


def test_a_text_is_encoded_once_and_the_oldest_is_forgotten() -> None:
    encoded: list[str] = []

    def encode(text: str) -> int:
        encoded.append(text)
        return len(text)

    cache = TextCache("abc", encode, capacity=2)
    assert [cache.get(text) for text in ("one", "three", "one", "four", "three")] == [3, 5, 3, 4, 5]
    assert encoded == ["one", "three", "four", "three"]
    assert (cache.hits, cache.misses) == (1, 4)
