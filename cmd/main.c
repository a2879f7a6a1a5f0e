/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch, and the verbs that are about the verbs. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "cmd/cmd.h"

#define VERB_NAME_MAX 32

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
    const char *synopsis;
    const char *options;
};

static const struct verb verbs[] = {
#define VERB(name, function, summary, synopsis, options) {name, function, summary, synopsis, options},
#include "tables/verbs.def"
#undef VERB
};

static const char *const names[] = {
#define VERB(name, function, summary, synopsis, options) name,
#include "tables/verbs.def"
#undef VERB
    NULL,
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* Each line of the synopsis with the program and the verb before it. */
static void print_synopsis(FILE *to, const struct verb *v)
{
    const char *lead = "usage:";
    for (const char *line = v->synopsis, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        fprintf(to, "%6s cardea %s%s%.*s\n", lead, v->name, end > line ? " " : "", (int)(end - line), line);
        lead = "";
    }
}

static void print_verbs(FILE *to)
{
    fprintf(to, "usage: cardea VERB ...\n\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        fprintf(to, "  %-12s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(to, "\n'cardea help VERB' says how a verb is used.\n");
}

int cmd_usage(const char *verb, bool asked)
{
    const struct verb *v = verb_find(verb);
    CHECK(v != NULL);
    print_synopsis(asked ? stdout : stderr, v);
    if (!asked)
        return CMD_USAGE;
    printf("\n%s\n", v->options[0] == '\0' ? v->summary : v->options);
    return CMD_OK;
}

int cmd_misused(const char *verb, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "cardea %s: ", verb);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return cmd_usage(verb, false);
}

int cmd_failed(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "cardea: ");
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return CMD_FAILED;
}

#define DIGITS 15 /* of a fraction: as many as a double keeps, so that 0.1 stays 0.1 */

void cmd_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(DIGITS));
    putchar('\n');
}

static int unknown_verb(const char *name)
{
    char hint[STR_HINT_MAX];
    fprintf(stderr, "cardea: no verb '%s'%s\n'cardea help' lists the verbs.\n", name,
            str_hint(name, names, hint));
    return CMD_USAGE;
}

/* "server" of `cardea wrap server`: a line of the synopsis begins with it. */
static bool has_form(const struct verb *v, const char *form)
{
    size_t len = strlen(form);
    for (const char *line = v->synopsis, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        if (strncmp(line, form, len) == 0 && (line[len] == ' ' || line[len] == '\n'))
            return true;
    return false;
}

int cmd_help(int argc, char **argv)
{
    const struct verb *v = argc > 2 ? verb_find(argv[1]) : NULL;
    if (argc > 2 && (argc > 3 || v == NULL || !has_form(v, argv[2])))
        return cmd_usage("help", false);
    if (argc < 2) {
        print_verbs(stdout);
        return CMD_OK;
    }
    return verb_find(argv[1]) != NULL ? cmd_usage(argv[1], true) : unknown_verb(argv[1]);
}

int cmd_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return cmd_usage("version", false);
    printf("cardea %s\n", CARDEA_VERSION);
    return CMD_OK;
}

/* What people type out of habit. */
static const char *verb_of(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return "help";
    return strcmp(word, "--version") == 0 ? "version" : word;
}

/* Whoever started us may have closed 0, 1 or 2; a socket that took such a number would be read or printed to.
 */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    char name[VERB_NAME_MAX];
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_verbs(stderr);
        return CMD_USAGE;
    }
    const struct verb *v = verb_find(verb_of(argv[1]));
    if (v == NULL)
        return unknown_verb(argv[1]);
    snprintf(name, sizeof(name), "cardea %s", v->name);
    argv[1] = name;
    int status = v->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 && status == CMD_OK)
        return cmd_failed("cannot write standard output");
    return status;
}
