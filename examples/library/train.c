/* The same in C:  train_c MODEL ROWS.jsonl */
#include <stdio.h>

#include <lowrank.h>

static int print_step(void *user, const char *step) {
  (void)user;
  printf("%s\n", step);
  return 0;
}

int main(int count, char **arguments) {
  char options[4096];
  char *summary = NULL, *text = NULL;
  lowrank_session *session = count == 3 ? lowrank_open(arguments[1], NULL) : NULL;
  if (session) {
    snprintf(options, sizeof options, "{\"data\": \"%s\", \"steps\": 20, \"lr\": 5e-3}", arguments[2]);
    summary = lowrank_train(session, "mine", options, print_step, NULL);
    if (summary) text = lowrank_generate(session, "Once", "{\"adapter\": \"mine\"}", NULL, NULL);
  }
  if (!text) fprintf(stderr, "%s\n", lowrank_error());
  if (text) printf("%s\n%s\n", summary, text);
  lowrank_free(summary);
  lowrank_free(text);
  lowrank_close(session);
  return text ? 0 : 1;
}
