/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs: tables/verbs.def drives dispatch and help. */
#ifndef CARDEA_CMD_CMD_H
#define CARDEA_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses of every verb. */
#define CMD_OK 0
#define CMD_FAILED 1
#define CMD_USAGE 2

/* A verb gets what follows `cardea`; argv[0] reads "cardea VERB", for the messages of getopt_long(). It
 * returns the exit status. */
#define VERB(name, function, summary, synopsis, options) int function(int argc, char **argv);
#include "tables/verbs.def"
#undef VERB

/* Tell how a verb is used: on standard output, with its options, when the user asked (returns CMD_OK); else
 * in short on standard error (returns CMD_USAGE). */
int cmd_usage(const char *verb, bool asked);

/* As getopt_long(); of a long option that there is not it also says which may have been meant. */
struct option;
int cmd_option(int argc, char **argv, const char *shorts, const struct option *options);

/* An option that a verb takes beside --help: a value goes to `text`, one without to `on`. */
struct cmd_flag {
    const char *name;
    const char **text;
    bool *on;
    size_t *count; /* may be given again: how many values text[] has; NULL: the last one holds */
    size_t most;   /* ... and how many it has room for */
};

/* Read the options of a verb; what is left begins at argv[optind]. False: it was used wrongly, or asked for
 * help, which was told; end with *ret_status. */
bool cmd_flags(const char *verb, int argc, char **argv, const struct cmd_flag *flags, size_t n,
               int *ret_status);

/* Print "cardea VERB: " and the text on standard error, and how the verb is used. Returns CMD_USAGE. */
int cmd_misused(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print "cardea: " and the text on standard error. Returns CMD_FAILED. */
int cmd_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Print a value of jansson's on standard output, indented. */
struct json_t;
void cmd_print_json(const struct json_t *value);

#endif
