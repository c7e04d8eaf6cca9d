"""llama.cpp on 16 requests at a time, through its C interface: reads names of measurements from standard input, writes seconds.

    llama_tokens.py MODEL.gguf THREADS PROMPTS.json TOKENS REPACK ADAPTER.gguf...

`base` and `one` decode all requests together, in batches, without adapter or with the first one. `each` gives every request an adapter of its own: a
context of llama.cpp has the same adapters for all its sequences, so they run one after another. REPACK is 1 for weights repacked for this
processor, llama.cpp's default, which crashes where the system does not grant AMX, and 0 for weights as they are."""
import ctypes
import json
import sys
import time

import llama_cpp
import numpy as np


@llama_cpp.llama_log_callback
def no_log(*_):
    pass


class Peer:
    def __init__(self, model, threads, prompts, tokens, repack, adapters):
        llama_cpp.llama_log_set(no_log, None)
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.use_extra_bufts = repack
        self.model = llama_cpp.llama_model_load_from_file(model.encode(), parameters)
        parameters = llama_cpp.llama_context_default_params()
        length = max(map(len, prompts)) + tokens
        parameters.n_ctx = -(-length // 256) * 256 * len(prompts)  # divided among the sequences
        parameters.n_seq_max = len(prompts)
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        assert self.context, "llama.cpp made no context"
        self.most = llama_cpp.llama_n_batch(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(self.most, 0, 1)
        self.prompts, self.tokens = prompts, tokens
        self.adapters = [llama_cpp.llama_adapter_lora_init(self.model, path.encode()) for path in adapters]
        assert all(self.adapters), "llama.cpp did not read an adapter"

    def use(self, adapters):
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        assert llama_cpp.llama_set_adapters_lora(self.context, pointers, len(adapters), scales) == 0

    def decode(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted). The likeliest next tokens, for those that are wanted."""
        chosen = []
        for begin in range(0, len(rows), self.most):
            part = rows[begin:begin + self.most]
            self.batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                self.batch.token[i], self.batch.pos[i], self.batch.logits[i] = token, position, wanted
                self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            assert llama_cpp.llama_decode(self.context, self.batch) == 0, "llama_decode failed"
            for i, row in enumerate(part):
                if row[3]:
                    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), (self.vocabulary,))
                    chosen.append(int(logits.argmax()))
        return chosen

    def generate(self, sequences):
        last = self.decode([(token, place, sequence, place == len(self.prompts[sequence]) - 1)
                            for sequence in sequences for place, token in enumerate(self.prompts[sequence])])
        for step in range(self.tokens - 1):
            last = self.decode([(token, len(self.prompts[sequence]) + step, sequence, True) for token, sequence in zip(last, sequences)])

    def measure(self, kind):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        everyone = list(range(len(self.prompts)))
        started = time.perf_counter()
        if kind == "each":
            for sequence in everyone:
                self.use([self.adapters[sequence]])
                self.generate([sequence])
        else:
            self.use(self.adapters[:1] if kind == "one" else [])
            self.generate(everyone)
        return time.perf_counter() - started


def main():
    model, threads, prompts, tokens, repack, *adapters = sys.argv[1:]
    with open(prompts) as file:
        peer = Peer(model, int(threads), json.load(file), int(tokens), repack == "1", adapters)
    peer.measure("base")
    print("ready", flush=True)
    for line in sys.stdin:
        print(peer.measure(line.strip()), flush=True)


if __name__ == "__main__":
    main()
