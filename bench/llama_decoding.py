"""llama.cpp decoding many sequences in one batch, through its C interface, for the measurements that compare with it."""
import time

import llama_cpp
import numpy as np


@llama_cpp.llama_log_callback
def no_log(*_):
    pass


def load(path, repack):
    """The model of a GGUF file. `repack`: weights repacked for this processor, llama.cpp's default, which crashes where the system does not grant AMX."""
    llama_cpp.llama_log_set(no_log, None)
    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = repack
    model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
    assert model, f"llama.cpp did not read {path}"
    return model


class Decoder:
    """A context for `sequences` of up to `length` tokens each. `seconds`: of its passes so far, on the clock and of the processor; what Python does to fill
    a batch does not count."""

    def __init__(self, model, threads, sequences, length, batch=None):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-length // 256) * 256 * sequences  # divided among the sequences
        parameters.n_seq_max = sequences
        if batch:
            parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, parameters)
        assert self.context, "llama.cpp made no context"
        self.most = llama_cpp.llama_n_batch(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.batch = llama_cpp.llama_batch_init(self.most, 0, 1)
        self.seconds = np.zeros(2)

    def decode(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted). The likeliest next tokens, for those that are wanted."""
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

    def forget(self):
        """Begins all sequences anew."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)
