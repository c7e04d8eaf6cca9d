"""llama.cpp's side of bench/decoding: `llama_steps.py MODEL.gguf THREADS REPACK` reads lines "SEQUENCES PROMPT TOKENS", writes the seconds of the pass
over the prompts and of each step that follows, on the clock and then of the processor. All sequences are decoded in one batch. REPACK as in bench/serving_peers/llama_tokens.py."""
import sys
import time

import llama_cpp
import numpy as np


@llama_cpp.llama_log_callback
def no_log(*_):
    pass


class Steps:
    def __init__(self, model, threads, vocabulary, sequences, prompt, tokens):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-(prompt + tokens + 1) // 256) * 256 * sequences
        parameters.n_seq_max = sequences
        parameters.n_batch = parameters.n_ubatch = max(512, min(2048, sequences * prompt))
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, parameters)
        assert self.context, "llama.cpp made no context"
        self.most = llama_cpp.llama_n_batch(self.context)
        self.batch = llama_cpp.llama_batch_init(self.most, 0, 1)
        self.vocabulary = vocabulary

    def decode(self, rows):
        chosen = []
        for begin in range(0, len(rows), self.most):
            part = rows[begin:begin + self.most]
            self.batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                self.batch.token[i], self.batch.pos[i], self.batch.logits[i] = token, position, wanted
                self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            started = np.array([time.perf_counter(), time.process_time()])
            assert llama_cpp.llama_decode(self.context, self.batch) == 0, "llama_decode failed"
            for i, row in enumerate(part):
                if row[3]:
                    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), (self.vocabulary,))
                    chosen.append(int(logits.argmax()))
            self.seconds += np.array([time.perf_counter(), time.process_time()]) - started
        return chosen

    def measure(self, sequences, prompt, tokens):
        # Only decoding and the choice of tokens count, not what Python does to fill a batch.
        self.seconds = 0
        last = self.decode([((1000 + s * 7919 + i * 104729) % self.vocabulary, i, s, i == prompt - 1)
                            for s in range(sequences) for i in range(prompt)])
        first, self.seconds = self.seconds, 0
        for step in range(tokens):
            last = self.decode([(token, prompt + step, s, True) for s, token in enumerate(last)])
        step = self.seconds / tokens
        return first[0], step[0], first[1], step[1]

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)


def main():
    path, threads, repack = sys.argv[1:]
    llama_cpp.llama_log_set(no_log, None)
    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = repack == "1"
    model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    print("ready", flush=True)
    for line in sys.stdin:
        sizes = [int(word) for word in line.split()]
        steps = Steps(model, int(threads), vocabulary, *sizes)
        print(*steps.measure(*sizes), flush=True)
        steps.close()


if __name__ == "__main__":
    main()
