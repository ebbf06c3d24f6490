"""Where the passphrase of the keystore comes from, in order, and what is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yimatong.kit.settings import Settings, SettingsInvalid


def _settings(folder: Path, **more: object) -> Settings:
    return Settings(data=folder, database_url="", keystore=folder / "k.json", web_session_key="00" * 32, **more)


@pytest.fixture
def credential(tmp_path, monkeypatch):
    """A credential as systemd hands it over: a folder of the unit's own, the file 0400."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    file = folder / "ymt-keystore"
    file.write_text("from systemd\n")
    file.chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return file


def test_a_systemd_credential_counts_before_the_passphrase_in_the_settings(tmp_path, credential):
    assert _settings(tmp_path, keystore_passphrase="in the settings").keystore_secret() == "from systemd"


def test_a_named_file_counts_before_the_credential(tmp_path, credential):
    file = tmp_path / "secret"
    file.write_text("from a file\r\n")
    file.chmod(0o600)
    assert _settings(tmp_path, keystore_secret_file=file).keystore_secret() == "from a file"


def test_a_credential_folder_without_ours_leaves_the_settings(tmp_path, credential):
    credential.unlink()
    assert _settings(tmp_path, keystore_passphrase="in the settings").keystore_secret() == "in the settings"
    with pytest.raises(SettingsInvalid, match="keystore_passphrase"):
        _settings(tmp_path).keystore_secret()


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_credential_that_others_may_read_or_that_is_empty_is_refused(tmp_path, credential):
    credential.chmod(0o440)
    with pytest.raises(SettingsInvalid, match="open to others"):
        _settings(tmp_path).keystore_secret()
    credential.chmod(0o600)
    credential.write_text("\n")
    with pytest.raises(SettingsInvalid, match="empty"):
        _settings(tmp_path).keystore_secret()
