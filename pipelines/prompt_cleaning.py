"""What a language model answered, made into a prompt, or the reason why it cannot be one. Torch-free."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from pipelines.prompt_facts import cjk_characters, is_other_latin, lost
from pipelines.prompt_writing import CHINESE

LONGEST_CHARACTERS = 4000
"""The studio's limit of a prompt."""
LONGEST_WORDS = 220
LONGEST_CHINESE_CHARACTERS = 400
LONGER_THAN_ASKED = 1.5
"""A person's own long prompt may grow by this factor past the limits above."""
ENOUGH_WORDS = 60
ENOUGH_CHINESE_CHARACTERS = 80
"""A prompt longer than that need not grow: its rewriting only may not fall under it."""
CHARACTERS_A_WORD = 1.6
"""Chinese characters that say what one English word says."""
LARGEST_STRANGE_SHARE = 0.1
SMALLEST_CHINESE_SHARE = 0.6
SMALLEST_NEW_SHARE = 0.5

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TURN = re.compile(r"\A\s*<\|im_start\|>\s*assistant\b|\A\s*assistant\s*\n")
_MARK = re.compile(r"<\|[^<>|\n]{0,40}\|>|</?s>")
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_RULE = re.compile(r"^\s*(?:[-*_=]\s*){3,}$", re.MULTILINE)
_OPENERS = (
    re.compile(
        r"\A(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|alright|great|got it|no problem)[,:.!]\s*"
        r"(?:(?:i|let|happy|glad)\b[^\n:.!]{0,100}[.!:]\s*)?",
        re.IGNORECASE,
    ),
    re.compile(
        r"\A(?:here(?:'s|’s| is| are| you go)|below is|this is|the following is|i(?:'ve| have)|let me)[^\n:]{0,140}"
        r"(?:prompt|version|description|rewrit\w+|expan\w+|enhanc\w+|idea|request|text)[^\n:]{0,80}:\s*",
        re.IGNORECASE,
    ),
    re.compile(r"\A(?:here you go|here it is)[:.!]\s*", re.IGNORECASE),
    re.compile(
        r"\A(?:\W{0,3})(?:the\s+)?(?:(?:rich|rewritten|revised|enhanced|expanded|improved|detailed|final|english|chinese|"
        r"image|video|picture|film|text-to-(?:image|video)|output|new)\s+)*(?:prompt|description|output|answer|version|option)"
        r"(?:\s+(?:\d|one|[A-C]))?(?:\W{0,3})[:：](?:\*\*)?\s*",
        re.IGNORECASE,
    ),
    re.compile(r"\A(?:好的|当然|没问题|可以)[^\n:：]{0,30}?(?:[，,。！!：:]\s*)"),
    re.compile(r"\A(?:以下|下面|这)(?:是|为)[^\n:：]{0,40}[:：]\s*"),
    re.compile(
        r"\A(?:改写|扩写|优化|润色|丰富|最终|完整)?(?:后)?的?(?:中文|英文|图像|图片|视频)?(?:提示词|描述|提示)[:：]\s*"
    ),
)
_LABEL = re.compile(
    r"^\s*(?:subject|action|setting|scene|light(?:ing)?|camera|style|mood|composition|background|movement|motion|"
    r"主体|动作|场景|环境|光线|光影|灯光|镜头|风格|氛围|构图|背景|运动)(?:\s*(?:&|and)\s*\w+)?\s*[:：]\s*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*+•]\s+|\d{1,2}[.)、]\s+|#{1,6}\s+|>\s+)")
_EMPHASIS = re.compile(r"(\*{1,3}|__|`)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_AFTERWORD = re.compile(
    r"\A\W{0,3}(?:(?:please )?note\b|notes?:|this (?:(?:image |video )?prompt|version|description|rewrite)|"
    r"let me know|i hope|i(?:'ve| have) (?:kept|added|included)|feel free|would you like|"
    r"if you(?:'d| would| want| need)|negative prompt|explanation|key (?:elements|details)|word count|hope this|"
    r"is there anything|注[:：]|注意|说明[:：]|希望|如果你|如果您|这个提示|这段|该提示|字数)",
    re.IGNORECASE,
)
_COUNT_NOTE = re.compile(
    r"\s*[(（\[](?:word count|approx\w*|about|around|\d+ words|字数|约|共)[^)）\]]{0,40}[)）\]]\s*\Z", re.IGNORECASE
)
_OTHER_VERSION = re.compile(r"\A\W{0,3}(?:option|version|alternative|prompt)\s*(?:[2-9]|two|B)\b", re.IGNORECASE)
_PAIRS = {'"': '"', "“": "”", "'": "'", "‘": "’", "「": "」", "『": "』", "«": "»", "`": "`"}
_SENTENCE_END = re.compile(
    r"(?:(?<!\b[A-Z])(?<!\b(?:Dr|Mr|St|vs))(?<!\bMrs)[.!?…]+[\"”’')\]]*(?=\s|\Z))|[。！？…]+[”’」』）]*"
)
_REFUSAL = re.compile(
    r"\A\W{0,3}(?:i(?:['’]m| am)(?: really| very| so)? sorry|sorry\b|i apologi[sz]e|unfortunately|"
    r"i (?:can['’]t|cannot|can not|won['’]t|am unable|am not able|must decline)|i['’]m (?:unable|not able|afraid)|"
    r"as an? (?:ai|large|language)\b|could you (?:please )?(?:provide|clarify|give|tell)|please provide|"
    r"it (?:seems|looks like|appears) (?:that )?(?:you|your|the (?:prompt|idea|text))|"
    r"(?:非常|很)?抱歉|对不起|我(?:不能|无法|没法)|作为(?:一个|一名)?(?:AI|人工智能|语言模型)|请(?:您)?提供)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`prompt` to generate with, or None and a `note`, one sentence for its person."""

    prompt: str | None
    note: str | None = None


def judge(prompt: str, answer: str, language: str, *, finished: bool) -> Verdict:
    """Return the cleaned `answer` to `prompt` in `language`; `finished` says that the model ended it by itself."""
    original = " ".join(prompt.split())
    cleaned = tidy(answer)
    if _REFUSAL.match(cleaned) and not _REFUSAL.match(original):
        return unusable("the model answered it instead of rewriting it")
    cleaned = _within_limits(cleaned, original)
    if not finished or len(cleaned) > LONGEST_CHARACTERS:
        cleaned = _whole_sentences(cleaned, LONGEST_CHARACTERS)
        if not cleaned:
            return unusable("the rewriting broke off" if answer.strip() else "the model answered nothing")
    reason = _why_not(original, cleaned, language)
    return unusable(reason) if reason else Verdict(prompt=cleaned)


def unusable(reason: str) -> Verdict:
    """Return the verdict that leaves the person's own words standing. `reason` completes the sentence."""
    return Verdict(prompt=None, note=f"The prompt was used as written: {reason}.")


def tidy(answer: str) -> str:
    """Return the prompt inside `answer`, on one line: without thoughts, greeting, title, Markdown, quotation marks and
    afterword. Works on an answer that is still growing."""
    text = _THOUGHT.sub("", _THINKING.sub("", answer)) if "think" in answer else answer
    text = _TURN.sub("", text)
    mark = _MARK.search(text.strip())
    text = text.strip()[: mark.start()] if mark and mark.start() else _MARK.sub("", text)
    text = _RULE.sub("\n", _FENCE.sub("", text)).strip()
    text = _without_quotes(_without_openers(_EMPHASIS.sub(r"\2", text)))
    text = _without_quotes(_without_openers(_COUNT_NOTE.sub("", _joined(_paragraphs(text)))))
    return text.rstrip("\ufffd").strip()


def _without_openers(text: str) -> str:
    while True:
        shorter = text
        for opener in _OPENERS:
            shorter = opener.sub("", shorter.lstrip(), count=1)
        if shorter == text:
            return text
        text = shorter


def _without_quotes(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and _PAIRS.get(text[0]) == text[-1] and not {text[0], text[-1]} & set(text[1:-1]) - {"'", "’"}:
        text = text[1:-1].strip()
    return text


def _paragraphs(text: str) -> list[str]:
    """The paragraphs and list items of `text` up to an afterword or a second version, without marks and labels."""
    kept: list[str] = []
    for line in text.splitlines():
        title = line.lstrip().startswith("#")
        bare = _LABEL.sub("", _BULLET.sub("", line)).strip()
        if kept and (_AFTERWORD.match(bare) or _OTHER_VERSION.match(bare)):
            break
        if bare and not (title and not _SENTENCE_END.search(bare)):
            kept.append(bare)
    return kept


def _joined(paragraphs: list[str]) -> str:
    text = ""
    for paragraph in paragraphs:
        chinese = cjk_characters(text[-2:]) or cjk_characters(paragraph[:1])
        ended = not text or text[-1] in ".!?…,;:。！？，；："
        glue = ("" if ended else "，") if chinese else (" " if ended else ", ")
        text += (glue if text else "") + " ".join(paragraph.split())
    return text


def _within_limits(text: str, original: str) -> str:
    """`text`, cut at the end of a sentence where it is longer than a prompt should be."""
    longest = max(LONGEST_WORDS, LONGER_THAN_ASKED * len(original.split()))
    words = re.finditer(r"\S+", text)
    ends = [match.end() for match in words]
    limit = ends[int(longest) - 1] if len(ends) > longest else len(text)
    characters = max(LONGEST_CHINESE_CHARACTERS, LONGER_THAN_ASKED * cjk_characters(original))
    if cjk_characters(text) > characters:
        limit = min(limit, int(characters * len(text) / cjk_characters(text)))
    return _whole_sentences(text, limit) or text if limit < len(text) else text


def _whole_sentences(text: str, limit: int) -> str:
    """The whole sentences within the first `limit` characters; empty where there is none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if match.end() <= limit]
    return text[: ends[-1]] if ends else ""


def _why_not(original: str, cleaned: str, language: str) -> str | None:
    if not re.search(r"\w", cleaned):
        return "the model answered nothing"
    if not _is_in(language, cleaned, original):
        return f"the rewriting was not in {'Chinese' if language == CHINESE else 'English'}"
    if _repeats_itself(cleaned):
        return "the rewriting repeated itself"
    if _length(cleaned) < min(_length(original), ENOUGH_WORDS):
        return "the rewriting was shorter than the prompt"
    missing = lost(original, cleaned, language)
    return f"the rewriting had lost {missing}" if missing else None


def _is_in(language: str, text: str, original: str) -> bool:
    chinese, words = cjk_characters(text), len(re.findall(r"[A-Za-z]+", text))
    if language == CHINESE:
        kana = len(re.findall(r"[\u3040-\u30ff]", text))
        return chinese >= SMALLEST_CHINESE_SHARE * (chinese + words) and kana <= LARGEST_STRANGE_SHARE * chinese
    letters = [character for character in text if character.isalpha()]
    # Accented Latin letters end at U+024F, those of Vietnamese lie at U+1E00. Quoted text may be in any script.
    strange = [c for c in letters if ord(c) > 0x24F and not 0x1E00 <= ord(c) <= 0x1EFF and c not in original]
    latin = sum(ord(c) <= 0x24F for c in letters)
    return (
        len(strange) <= LARGEST_STRANGE_SHARE * len(letters) and latin * 2 > len(letters) and not is_other_latin(text)
    )


def _length(text: str) -> float:
    """Words; a Chinese character counts as the part of a word that it says."""
    return len(re.findall(r"[^\W\u3400-\u9fff]+", text)) + cjk_characters(text) / CHARACTERS_A_WORD


def _repeats_itself(text: str) -> bool:
    """Whether a model is caught in a loop: half of the runs of four words, or eight characters, were there before."""
    units: list[str] = re.findall(r"\w+", text.lower())
    size = 4
    if cjk_characters(text) > len(units):
        units, size = list(text), 8
    runs = Counter(tuple(units[i : i + size]) for i in range(len(units) - size + 1))
    return sum(runs.values()) >= 8 and len(runs) < SMALLEST_NEW_SHARE * sum(runs.values())
