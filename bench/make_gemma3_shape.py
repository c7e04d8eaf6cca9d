"""Writes a model folder with the shape of Gemma 3 270M and random weights, for measurements: `make_gemma3_shape.py FOLDER TOKENIZER.json`. Needs
what bench/run installs (bench/requirements.txt). Any tokenizer of at most 262,144 tokens will do."""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FF, VOCABULARY = 18, 640, 4, 1, 256, 2048, 262144

folder, tokenizer = Path(sys.argv[1]), sys.argv[2]
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(1)


def matrix(rows, columns):
    return (torch.randn(rows, columns) * 0.02).to(torch.bfloat16)


def norm(size):
    return torch.zeros(size, dtype=torch.bfloat16)


weights = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN), "model.norm.weight": norm(HIDDEN)}
for i in range(LAYERS):
    parts = {
        "self_attn.q_proj": matrix(HEADS * HEAD_DIM, HIDDEN), "self_attn.k_proj": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.v_proj": matrix(KV_HEADS * HEAD_DIM, HIDDEN), "self_attn.o_proj": matrix(HIDDEN, HEADS * HEAD_DIM),
        "self_attn.q_norm": norm(HEAD_DIM), "self_attn.k_norm": norm(HEAD_DIM),
        "mlp.gate_proj": matrix(FF, HIDDEN), "mlp.up_proj": matrix(FF, HIDDEN), "mlp.down_proj": matrix(HIDDEN, FF),
        "input_layernorm": norm(HIDDEN), "post_attention_layernorm": norm(HIDDEN),
        "pre_feedforward_layernorm": norm(HIDDEN), "post_feedforward_layernorm": norm(HIDDEN),
    }
    weights |= {f"model.layers.{i}.{name}.weight": value for name, value in parts.items()}
save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
(folder / "config.json").write_text(json.dumps({
    "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "intermediate_size": FF, "vocab_size": VOCABULARY,
    "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_local_base_freq": 1e4, "query_pre_attn_scalar": HEAD_DIM,
    "sliding_window": 512, "sliding_window_pattern": 6, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
    "attention_bias": False, "eos_token_id": 1, "bos_token_id": 2, "torch_dtype": "bfloat16"}, indent=2))
shutil.copy(tokenizer, folder / "tokenizer.json")
