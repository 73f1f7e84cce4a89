"""A tower that hears: what is silent is masked, and what only sound tells can be learned."""

import numpy as np
import pytest
import torch

from hdvila_testing.drawn_set import MICRO_MODEL
from manifests.settings import parse_config
from tests.train.data.test_mel import sample_with
from train.data.decode import SampleBroken
from train.data.registry import Seen, make_view
from train.data.sound import averaged, with_sound
from train.models.hd_vila import HDVila
from train.models.registry import build_model
from train.models.sounding import Sounding, SoundingConfig
from train.objectives.sound import SOUND
from train.rows import Rows

CONFIG = {**MICRO_MODEL, "sound_bins": 16, "sound_columns": 24}


def a_model(**keys: object) -> Sounding:
    model = build_model(parse_config(SoundingConfig, {**CONFIG, **keys}, source="a test"), seed=0)
    assert isinstance(model, Sounding)
    return model


def rows(n: int, sounds: list[float]) -> Rows:
    dice = torch.Generator().manual_seed(1)
    return Rows(
        img_other=torch.randint(256, (n, 1, 7, 3, 16, 32), generator=dice, dtype=torch.uint8),
        input_ids=torch.randint(5, 60, (n, 8), generator=dice),
        attention_mask=torch.ones(n, 8, dtype=torch.int64),
        mel=torch.randn(n, 16, 24, generator=dice) * 4 - 8,
        has_sound=torch.tensor(sounds),
    )


def test_a_clip_without_sound_is_embedded_by_its_pictures_alone() -> None:
    batch, model = rows(3, [1.0, 0.0, 1.0]), a_model().eval()
    seen = HDVila.forward(model, batch).video
    heard = model(batch).video

    assert torch.equal(heard[1], torch.nn.functional.normalize(seen, dim=1)[1])
    assert not torch.allclose(heard[0], seen[0], atol=1e-2) and torch.allclose(heard.norm(dim=1), torch.ones(3))
    assert torch.allclose(a_model(muted=True).eval()(batch).video, seen)


def test_training_leaves_sound_out_at_random_and_evaluation_never() -> None:
    batch = rows(8, [1.0] * 8)
    model = a_model(dropout=0, drop_path=0)
    whole = model.eval()(batch)
    model.train()
    kept = [torch.isclose(model(batch).video, whole.video, atol=1e-5).all(1) for _ in range(20)]
    alone = [torch.isclose(model(batch).video, whole.pictures, atol=1e-5).all(1) for _ in range(20)]
    for share in (torch.stack(kept).float().mean(), torch.stack(alone).float().mean()):
        assert 0.3 < share < 0.7


def test_rows_without_sound_are_in_no_sum_of_pictures_against_sound() -> None:
    model = a_model().eval()
    some, all_ = rows(4, [1.0, 1.0, 0.0, 1.0]), rows(4, [1.0] * 4)
    three = Rows({name: tensor[[0, 1, 3]] for name, tensor in all_.tensors().items()})

    def of(batch: Rows) -> torch.Tensor:
        return SOUND.loss(model(batch), batch, SOUND.totals(batch), None)

    assert torch.allclose(of(some), of(three), atol=1e-5)
    silent = rows(4, [0.0] * 4)
    assert of(silent) == 0


class Pictures:
    n_pictures = 1

    def members(self, source: str) -> tuple[str, ...]:
        return ("json",)

    def blank(self) -> dict[str, np.ndarray]:
        return {}

    def decode(self, members: object, source: str, draw: object) -> Seen:
        return Seen({}, "a text")


@pytest.mark.parametrize(("has_audio", "heard"), [(True, 1.0), (False, 0.0)])
def test_a_view_brings_the_sound_of_clips_that_have_any(has_audio: bool, heard: float) -> None:
    model = parse_config(SoundingConfig, {**CONFIG, "sound_bins": 8, "sound_columns": 8}, source="a test")
    view = with_sound(Pictures(), model)
    values = np.arange(32, dtype=np.float16).reshape(8, 4)
    members = sample_with(values, mel_bins=8, has_audio=has_audio)

    arrays = view.decode(members, "prepared", None).arrays

    assert arrays["has_sound"] == heard and arrays["mel"].shape == view.blank()["mel"].shape == (8, 8)
    assert arrays["mel"].max() == (31 if has_audio else 0)
    other = with_sound(Pictures(), parse_config(SoundingConfig, CONFIG, source="a test"))
    if has_audio:
        with pytest.raises(SampleBroken, match=r"model\.sound_bins is 16"):
            other.decode(members, "prepared", None)


def test_columns_are_averaged_over_equal_parts() -> None:
    values = np.arange(10, dtype=np.float32)[None]
    assert averaged(values, 5).tolist() == [[0.5, 2.5, 4.5, 6.5, 8.5]]
    assert averaged(values[:, :2], 4).tolist() == [[0, 0, 1, 1]]


def test_a_run_of_a_model_that_hears_gets_its_sound() -> None:
    from types import SimpleNamespace

    model = parse_config(SoundingConfig, CONFIG, source="a test")
    data = SimpleNamespace(stride=1, backend="pyav", fps=0.0, flip=0.0)
    assert "mel.npy" in make_view("low", SimpleNamespace(model=model, data=data)).members("prepared")
