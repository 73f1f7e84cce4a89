"""Uploads an exported folder to the Hugging Face hub.

The token is huggingface_hub's own: HF_TOKEN, or what `hf auth login` keeps. This program neither takes nor shows one.
"""

from __future__ import annotations

from pathlib import Path

from manifests.errors import UserError


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


def push(folder: Path, name: str, *, public: bool) -> str:
    """Uploads the folder as one commit, and makes the repository if there is none; returns its address.

    UserError, which names the folder and the command to try again with, if the hub refuses or is out of reach, or if a
    private upload would go to a repository that everyone can read.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library it uses

    hub = HfApi()
    try:
        address = hub.create_repo(name, private=not public, exist_ok=True)
        if not public and not hub.model_info(name).private:
            raise UserError(f"{name} is public: give --public to upload to it; {folder} is written")
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message="Exported model")
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(
            f"{folder} is written, but could not be uploaded to {name} ({type(error).__name__}: {reason}); "
            f"try again with: hf upload {name} {folder} --private"
        ) from None
    return str(address)
