from __future__ import annotations

import pytest

from runtime_guard.secret import HIDDEN, hide_secrets


@pytest.mark.parametrize(
    "name",
    [
        "TORCH_TOKEN",
        "TORCH_HUB_TOKEN",
        "NVIDIA_API_KEY",
        "NVIDIA_APIKEY",
        "CUDA_SECRET_NAME",
        "TORCH_DB_PASSWORD",
        "torch_passwd",
        "NCCL_CREDENTIALS",
        "TORCH_AUTH_HEADER",
        "TORCH_ACCESS_KEYS",
    ],
)
def test_a_value_whose_name_says_secret_is_hidden(name: str) -> None:
    assert hide_secrets({name: "1"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hunter2@example.org/wheels",
        "https://token@example.org/wheels",
        "https://example.org/x?X-Amz-Signature=abc",
        "prefix hf_abcdefgh",
        "ghp_0123456789",
        "sk-proj-1234",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOi.J9.x",
        "-----BEGIN PRIVATE KEY-----",
        "d41d8cd98f00b204e9800998ecf8427e",
        "a=b:wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    ],
)
def test_a_value_that_looks_secret_is_hidden_whatever_its_name(value: str) -> None:
    assert hide_secrets({"TORCH_X": value}) == {"TORCH_X": HIDDEN}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"),
        ("CUDA_VISIBLE_DEVICES", "0,1,2,3"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True,max_split_size_mb:128"),
        ("TORCH_HOME", "/home/someone/.cache/torch_extensions_py311_cu124"),
        ("NCCL_SOCKET_IFNAME", "eth0"),
        ("OMP_NUM_THREADS", "8"),
        ("TORCH_CUDA_ARCH_LIST", "8.0;8.6;9.0+PTX"),
        ("TORCH_KEYBOARD", "qwerty"),
    ],
)
def test_an_ordinary_value_is_kept(name: str, value: str) -> None:
    assert hide_secrets({name: value}) == {name: value}
