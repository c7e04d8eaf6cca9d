#ifndef LOWRANK_H
#define LOWRANK_H

/* The C interface (C99) of lowrank, over lowrank/lowrank.h. Options and results are JSON objects in UTF-8
   with the names of the program's options (`lowrank train --help`), underscores in place of dashes. A
   function that fails returns NULL (or -1) and leaves a sentence for the calling thread in lowrank_error.
   Strings that are returned as `char *` belong to the caller, who frees them with lowrank_free. One
   computation runs at a time in a process: a call from another thread waits. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lowrank_session lowrank_session;

/* Why the last call of this thread failed: a sentence, and a hint after a line break if there is one; ""
   after success. Valid until the thread's next call. */
const char* lowrank_error(void);
/* The kind of that failure: "not_found", "invalid", "corrupt", "unsupported", "io", "interrupted" or "". */
const char* lowrank_error_kind(void);

const char* lowrank_version(void);
/* Frees a string that the library returned; NULL is allowed. */
void lowrank_free(char* text);
/* What the program `lowrank` sets for its own process; call it before anything else, or not at all. */
int lowrank_prepare_process(void);
/* Where log lines go; NULL: to standard error, as initially. `warning` is 0 for mere information. While rows
   are read beside the first steps of a run, lines also come from a thread of the library's. */
void lowrank_set_log(void (*sink)(void* user, int warning, const char* line), void* user);

/* The methods, as a JSON list of objects with name, summary, paper, default_learning_rate. */
char* lowrank_methods(void);

/* Opens a Hugging Face folder or a GGUF file. `options` may be NULL. */
lowrank_session* lowrank_open(const char* model, const char* options);
void lowrank_close(lowrank_session* session);
/* The model (family, task, parameters, context, labels) and its attached adapters (name, method, parameters).
 */
char* lowrank_describe(const lowrank_session* session);

/* Attaches an adapter, from a folder or a GGUF LoRA, under a name. Returns 0. */
int lowrank_attach(lowrank_session* session, const char* name, const char* path);
int lowrank_detach(lowrank_session* session, const char* name);
/* Writes an attached adapter to a folder. Returns 0. */
int lowrank_save(const lowrank_session* session, const char* name, const char* folder);

/* A callback returns 0, or another number to stop the call, which then fails as "interrupted". */
typedef int (*lowrank_step_callback)(void* user, const char* step);
typedef int (*lowrank_text_callback)(void* user, const char* text);

/* Trains an adapter and attaches it under `name`. `after_step` (may be NULL) gets each step: step,
   total_steps, loss, learning_rate, tokens, seconds. Returns steps, tokens, first_loss, last_loss,
   best_evaluation_loss, best_step, seconds, output. */
char* lowrank_train(lowrank_session* session, const char* name, const char* options,
                    lowrank_step_callback after_step, void* user);

/* Returns loss, target_tokens, rows, and accuracy or correlation for labels. */
char* lowrank_evaluate(lowrank_session* session, const char* options);

/* Continues a prompt; `on_text` (may be NULL) gets each new piece. Returns text, tokens, ended. */
char* lowrank_generate(lowrank_session* session, const char* prompt, const char* options,
                       lowrank_text_callback on_text, void* user);

/* Merges an attached adapter into a new folder or FILE.gguf. Returns changed_tensors, tensors, bytes,
   update_kept, largest_logit_difference. */
char* lowrank_merge(lowrank_session* session, const char* name, const char* output, const char* options);

#ifdef __cplusplus
}
#endif

#endif
