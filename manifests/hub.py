"""Uploads a written folder to the Hugging Face hub, as a model or a data set.

The token is huggingface_hub's own: HF_TOKEN, or what `hf auth login` keeps. This program neither takes nor shows one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from manifests.errors import UserError

Kind = Literal["model", "dataset"]


class Uploaded(NamedTuple):
    """Where a folder is now: the address of its repository, and the commit."""

    address: str
    commit: str


def refuse_name(name: str) -> None:
    """Raises UserError, before anything is written, if nothing can be uploaded under this name from here."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"--push {name}: {error}") from None
    if name.count("/") != 1:
        raise UserError(f"--push {name}: give OWNER/NAME")
    if get_token() is None:
        raise UserError("--push: no token for the hub; set HF_TOKEN or run hf auth login")


def files_at(name: str, kind: Kind) -> list[str]:
    """The files of a repository, but for the hub's own; [] if there is none. UserError if the hub cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with _explained(f"--push {name}: the hub does not answer", "try again later"):
        try:
            return [path for path in HfApi().list_repo_files(name, repo_type=kind) if path != ".gitattributes"]
        except RepositoryNotFoundError:
            return []


def push(
    folder: Path, name: str, *, kind: Kind = "model", public: bool, again: str = "", replaced: str | None = None
) -> Uploaded:
    """Uploads the folder as one commit, and makes the repository if there is none.

    `replaced`: a pattern of files there that the same commit deletes where the folder lacks them. UserError, which
    names the folder and how to try `again` (by default `hf upload`), if the hub refuses or is out of reach, or if a
    private upload would go to a repository that everyone can read.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    cure = f"try again with: {again or f'hf upload {name} {folder} --private'}"
    with _explained(f"{folder} is written, but could not be uploaded to {name}", cure):
        address = hub.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        if not public and not hub.repo_info(name, repo_type=kind).private:
            raise UserError(f"{name} is public: give --public to upload to it; {folder} is written")
        done = hub.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=folder,
            commit_message=f"Exported {kind}",
            delete_patterns=replaced,
        )
    return Uploaded(str(address), done.oid)


@contextmanager
def _explained(what: str, cure: str) -> Iterator[None]:
    """What the hub or the network refuses becomes one message, without a token."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library it uses

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(f"{what} ({type(error).__name__}: {reason}); {cure}") from None
