"""Captions to token ids: BERT's WordPiece, with a given vocabulary or one made from the run's own captions; or the
tokenizer.json of other towers (CLIP's, SigLIP's), as it is."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import normalizers
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from manifests.errors import UserError
from train.losses import MaskTokens

PAD, UNK, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUED = "##"
"""Prefix of a piece that continues a word."""
MAX_CAPTIONS = 200_000
"""Most captions that a vocabulary is made from; if there are more, the seed draws them."""
FILE, VOCABULARY, SETTINGS = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
BERT = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True}


class Tokenizer:
    """Texts to ids of a fixed length, with the tokenizer's own begin and end: BERT's are `[CLS] pieces [SEP]`."""

    def __init__(self, fast: FastTokenizer, facts: Mapping[str, Any]) -> None:
        self._fast, self._facts = fast, dict(facts)
        self._pad = _name_of(facts.get("pad_token"))
        siglip2 = str(facts.get("tokenizer_class", "")).startswith("Siglip2")
        self._side = str(facts.get("padding_side", "left" if siglip2 else "right"))
        if fast.token_to_id(self._pad) is None:
            raise UserError(f"the tokenizer does not say what it pads with: {SETTINGS} needs pad_token")

    @property
    def vocab_size(self) -> int:
        """The number of pieces; ids are below it."""
        return self._fast.get_vocab_size()

    @property
    def can_mask(self) -> bool:
        """Whether it has a token that stands for a masked one."""
        return self._fast.token_to_id(MASK) is not None

    @property
    def mask_tokens(self) -> MaskTokens:
        """What `losses.mask_tokens` needs to know; no use unless `can_mask`."""
        ids = [self._fast.token_to_id(token) for token in (MASK, *SPECIAL)]
        mask, *special = (-1 if number is None else number for number in ids)
        return MaskTokens(mask, tuple(special), self.vocab_size)

    def encode(self, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
        """(input_ids, attention_mask), each [len(texts), length] int64. An empty text is begin and end alone."""
        self._fix_length(length)
        encoded = self._fast.encode_batch(list(texts))
        ids = torch.tensor([row.ids for row in encoded], dtype=torch.int64).view(len(texts), length)
        mask = torch.tensor([row.attention_mask for row in encoded], dtype=torch.int64).view(len(texts), length)
        return ids, mask

    def _fix_length(self, length: int) -> None:
        self._fast.enable_truncation(length)
        pad = self._fast.token_to_id(self._pad)
        self._fast.enable_padding(length=length, pad_id=pad, pad_token=self._pad, direction=self._side)

    def save_fixed(self, path: Path, length: int) -> None:
        """Writes a `tokenizer.json` that cuts and pads to a length by itself, as `encode` does."""
        self._fix_length(length)
        self._fast.save(str(path))

    def decode(self, ids: Sequence[int]) -> str:
        """Joins the pieces to text again, without special tokens."""
        pieces = [self._fast.id_to_token(i) or UNK for i in ids]
        return " ".join(piece for piece in pieces if piece not in SPECIAL).replace(f" {CONTINUED}", "")

    def pieces(self) -> dict[str, int]:
        """Every piece and its id."""
        return dict(self._fast.get_vocab())

    def as_text(self) -> str:
        """All of it as text, for `tokenizer_of_text`."""
        self._fast.no_truncation()
        self._fast.no_padding()
        return json.dumps({"tokenizer": self._fast.to_str(), "facts": self._facts})

    def save(self, folder: Path) -> None:
        """Writes Hugging Face's `tokenizer.json` and `tokenizer_config.json`, and of a WordPiece its `vocab.txt`."""
        self._fast.no_truncation()
        self._fast.no_padding()
        self._fast.save(str(folder / FILE))
        if isinstance(self._fast.model, WordPiece):
            ids = self.pieces()
            (folder / VOCABULARY).write_text("\n".join(sorted(ids, key=ids.__getitem__)) + "\n", encoding="utf-8")
        (folder / SETTINGS).write_text(json.dumps(self._facts, indent=2) + "\n", encoding="utf-8")


def tokenizer_of_text(text: str) -> Tokenizer:
    """The tokenizer that `as_text` gave."""
    document = json.loads(text)
    return Tokenizer(FastTokenizer.from_str(document["tokenizer"]), document["facts"])


def load_tokenizer(path: Path) -> Tokenizer:
    """Loads a `vocab.txt`, a `tokenizer.json`, or a folder that holds either. UserError if there is none."""
    for file in (path / FILE, path / VOCABULARY, path):
        if file.is_file():
            return _from_json(file) if file.suffix == ".json" else tokenizer_of_pieces(_read_lines(file), file)
    raise UserError(f"{path}: no tokenizer here; it needs a {FILE} or a BERT vocab.txt")


def tokenizer_beside(weights: str) -> Tokenizer | None:
    """The tokenizer that comes with weights: in their folder, or under their Hugging Face name. None if absent."""
    path = Path(weights)
    if path.exists():
        folder = path if path.is_dir() else path.parent
        return load_tokenizer(folder) if any((folder / name).is_file() for name in (FILE, VOCABULARY)) else None
    for name in (FILE, VOCABULARY):
        try:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import HfHubHTTPError, HFValidationError

            return load_tokenizer(Path(hf_hub_download(weights, name)))
        except (ImportError, HFValidationError, HfHubHTTPError, OSError):
            continue
    return None


def tokenizer_from_captions(captions: Iterable[str], *, vocab_size: int, seed: int) -> Tokenizer:
    """Makes a vocabulary of the captions' most common words, with single letters for all others.

    Words are ordered by count, then alphabetically, so that the same captions and seed give the same ids. If there are
    more than MAX_CAPTIONS captions, the seed draws those that are counted.
    """
    texts = sorted(captions)
    if len(texts) > MAX_CAPTIONS:
        texts = random.Random(seed).sample(texts, MAX_CAPTIONS)
    return tokenizer_of_pieces(_vocabulary(_words_of(texts), vocab_size), source=None)


def _words_of(texts: Iterable[str]) -> Counter[str]:
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    return counts


def _vocabulary(counts: Counter[str], vocab_size: int) -> list[str]:
    """Special tokens; letters by count (alone and continued, at most half of the rest); then words by count."""
    letters: Counter[str] = Counter()
    for word, count in counts.items():
        for letter in word:
            letters[letter] += count
    room = vocab_size - len(SPECIAL)
    common = [letter for letter, _ in _by_count(letters)[: max(0, room // 4)]]
    pieces = [*SPECIAL, *common, *(CONTINUED + letter for letter in common)]
    known = set(pieces)
    words = [word for word, _ in _by_count(counts) if word not in known]
    return (pieces + words)[:vocab_size]


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def tokenizer_of_pieces(pieces: list[str], source: Path | None) -> Tokenizer:
    """BERT's tokenizer with this vocabulary. UserError, which names the source, if it is none of BERT's."""
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    if missing := [token for token in SPECIAL if token not in vocabulary]:
        raise UserError(f"{source}: a BERT vocabulary has a line each for {', '.join(missing)}")
    fast = FastTokenizer(WordPiece(vocabulary, unk_token=UNK, max_input_chars_per_word=100))
    fast.normalizer = BertNormalizer(lowercase=True)
    fast.pre_tokenizer = BertPreTokenizer()
    # A special token's name inside a caption is ordinary text: a title can't smuggle in a [SEP].
    ends = [(token, vocabulary[token]) for token in (CLS, SEP)]
    fast.post_processor = TemplateProcessing(single=f"{CLS} $A {SEP}", special_tokens=ends)
    return Tokenizer(fast, {**BERT, **{f"{token.strip('[]').lower()}_token": token for token in SPECIAL}})


def _from_json(file: Path) -> Tokenizer:
    """A tokenizer.json. Of a WordPiece it reads only the vocabulary: the rest of that is always BERT's uncased."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        model = document["model"]
        if model.get("type", "WordPiece") != "WordPiece":
            return _as_it_is(file)
        vocabulary = model["vocab"]
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: holds no WordPiece vocabulary ({type(error).__name__}: {error})") from None
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise UserError(f"{file}: the vocabulary's ids are not 0 to {len(pieces) - 1}; it isn't a BERT WordPiece file")
    return tokenizer_of_pieces(pieces, file)


def _as_it_is(file: Path) -> Tokenizer:
    """The whole of a tokenizer.json, with the tokenizer_config.json beside it. UserError if it cannot be read."""
    settings = file.with_name(SETTINGS)
    facts = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    try:
        fast = FastTokenizer.from_file(str(file))
    except BaseException as error:
        if type(error) is not Exception:  # what the library raises, and nothing else
            raise
        raise UserError(f"{file}: cannot be read ({error})") from None
    if str(facts.get("tokenizer_class", "")).startswith("Siglip2"):
        # transformers does it for this class, whether or not the file says so: SigLIP 2 was trained on small letters.
        fast.normalizer = normalizers.Sequence(
            [normalizers.Lowercase(), *([fast.normalizer] if fast.normalizer else [])]
        )
    return Tokenizer(fast, facts)


def _name_of(token: object) -> str:
    """A special token's text, as tokenizer_config.json writes it: alone, or with its properties."""
    return str(token.get("content", "")) if isinstance(token, Mapping) else str(token or "")


def _read_lines(file: Path) -> list[str]:
    try:
        return [line.rstrip("\r\n") for line in file.open(encoding="utf-8") if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not a UTF-8 vocabulary ({error})") from None
