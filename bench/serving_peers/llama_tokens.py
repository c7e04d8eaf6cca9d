"""llama.cpp on 16 requests at a time, through its C interface: reads names of measurements from standard input, writes seconds.

    llama_tokens.py MODEL.gguf THREADS PROMPTS.json TOKENS REPACK ADAPTER.gguf...

`base` and `one` decode all requests together, in batches, without adapter or with the first one. `each` gives every request an adapter of its own: a
context of llama.cpp has the same adapters for all its sequences, so they run one after another. REPACK is 1 for weights repacked for this
processor, llama.cpp's default, which crashes where the system does not grant AMX, and 0 for weights as they are."""
import ctypes
import json
import sys
import time
from pathlib import Path

import llama_cpp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from llama_decoding import Decoder, load


class Peer:
    def __init__(self, model, threads, prompts, tokens, repack, adapters):
        self.model = load(model, repack)
        self.decoder = Decoder(self.model, threads, len(prompts), max(map(len, prompts)) + tokens)
        self.prompts, self.tokens = prompts, tokens
        self.adapters = [llama_cpp.llama_adapter_lora_init(self.model, path.encode()) for path in adapters]
        assert all(self.adapters), "llama.cpp did not read an adapter"

    def use(self, adapters):
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        assert llama_cpp.llama_set_adapters_lora(self.decoder.context, pointers, len(adapters), scales) == 0

    def generate(self, sequences):
        last = self.decoder.decode([(token, place, sequence, place == len(self.prompts[sequence]) - 1)
                                    for sequence in sequences for place, token in enumerate(self.prompts[sequence])])
        for step in range(self.tokens - 1):
            last = self.decoder.decode([(token, len(self.prompts[sequence]) + step, sequence, True) for token, sequence in zip(last, sequences)])

    def measure(self, kind):
        self.decoder.forget()
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
