"""llama.cpp's side of bench/decoding: `llama_steps.py MODEL.gguf THREADS REPACK` reads lines "SEQUENCES PROMPT TOKENS", writes the seconds of the pass
over the prompts and of each step that follows, on the clock and then of the processor. All sequences are decoded in one batch. REPACK as in bench/serving_peers/llama_tokens.py."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from llama_decoding import Decoder, load


def measure(model, threads, sequences, prompt, tokens):
    decoder = Decoder(model, threads, sequences, prompt + tokens + 1, max(512, min(2048, sequences * prompt)))
    last = decoder.decode([((1000 + s * 7919 + i * 104729) % decoder.vocabulary, i, s, i == prompt - 1)
                           for s in range(sequences) for i in range(prompt)])
    first = decoder.seconds.copy()
    for step in range(tokens):
        last = decoder.decode([(token, prompt + step, s, True) for s, token in enumerate(last)])
    step = (decoder.seconds - first) / tokens
    decoder.close()
    return first[0], step[0], first[1], step[1]


def main():
    path, threads, repack = sys.argv[1:]
    model = load(path, repack == "1")
    print("ready", flush=True)
    for line in sys.stdin:
        print(*measure(model, int(threads), *map(int, line.split())), flush=True)


if __name__ == "__main__":
    main()
