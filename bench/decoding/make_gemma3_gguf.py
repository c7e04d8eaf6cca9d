"""Writes a GGUF file of Gemma 3 270M's shape and types (those that llama.cpp's Q4_K_M gives it) with random blocks, for measurements of speed:
`make_gemma3_gguf.py FILE.gguf`. Needs the packages gguf and numpy. The file has no tokenizer."""
import sys

import gguf
import numpy as np

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FF, VOCABULARY = 18, 640, 4, 1, 256, 2048, 262144
TYPE = gguf.GGMLQuantizationType
SCALES = {TYPE.Q5_0: (0,), TYPE.Q8_0: (0,), TYPE.Q4_K: (0, 2), TYPE.Q6_K: (208,)}  # where a block has f16 numbers
chooser = np.random.default_rng(1)


def blocks(rows, columns, kind):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    data = chooser.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    for place in SCALES[kind]:
        scales = (chooser.standard_normal(len(data)) * (1e-4 if kind in (TYPE.Q4_K, TYPE.Q6_K) else 1e-3)).astype(np.float16)
        data[:, place:place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, -1)


writer = gguf.GGUFWriter(sys.argv[1], "gemma3")
writer.add_context_length(32768)
writer.add_embedding_length(HIDDEN)
writer.add_block_count(LAYERS)
writer.add_feed_forward_length(FF)
writer.add_head_count(HEADS)
writer.add_head_count_kv(KV_HEADS)
writer.add_key_length(HEAD_DIM)
writer.add_value_length(HEAD_DIM)
writer.add_layer_norm_rms_eps(1e-6)
writer.add_rope_freq_base(1e6)
writer.add_sliding_window(512)
writer.add_vocab_size(VOCABULARY)
writer.add_string("tokenizer.ggml.model", "none")


def add(name, rows, columns, kind):
    writer.add_tensor(name + ".weight", blocks(rows, columns, kind), raw_dtype=kind)


add("token_embd", VOCABULARY, HIDDEN, TYPE.Q8_0)
writer.add_tensor("output_norm.weight", np.ones(HIDDEN, dtype=np.float32))
for i in range(LAYERS):
    for norm, size in (("attn_norm", HIDDEN), ("post_attention_norm", HIDDEN), ("ffn_norm", HIDDEN), ("post_ffw_norm", HIDDEN), ("attn_q_norm", HEAD_DIM),
                       ("attn_k_norm", HEAD_DIM)):
        writer.add_tensor(f"blk.{i}.{norm}.weight", np.ones(size, dtype=np.float32))
    add(f"blk.{i}.attn_q", HEADS * HEAD_DIM, HIDDEN, TYPE.Q5_0)
    add(f"blk.{i}.attn_k", KV_HEADS * HEAD_DIM, HIDDEN, TYPE.Q5_0)
    add(f"blk.{i}.attn_v", KV_HEADS * HEAD_DIM, HIDDEN, TYPE.Q8_0)
    add(f"blk.{i}.attn_output", HIDDEN, HEADS * HEAD_DIM, TYPE.Q4_K)
    add(f"blk.{i}.ffn_gate", FF, HIDDEN, TYPE.Q5_0)
    add(f"blk.{i}.ffn_up", FF, HIDDEN, TYPE.Q5_0)
    add(f"blk.{i}.ffn_down", HIDDEN, FF, TYPE.Q6_K if i % 2 else TYPE.Q4_K)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
