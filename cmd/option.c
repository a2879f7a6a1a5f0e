/* SPDX-License-Identifier: Apache-2.0 */
/* getopt_long(), and what may have been meant by an option that there is not. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "cmd/cmd.h"

#define OPTIONS_MAX 64
#define NAME_MAX_LEN 40
#define FLAGS_MAX 16
#define FIRST_FLAG 256 /* behind all characters */

/* The beginning of several is told of by getopt_long() already. */
static void suggest(const char *program, const char *word, const struct option *options)
{
    char names[OPTIONS_MAX][NAME_MAX_LEN], found[NAME_MAX_LEN], hint[STR_HINT_MAX];
    const char *list[OPTIONS_MAX + 1] = {NULL};
    if (!str_copy(found, sizeof(found), word, strcspn(word, "=")))
        return;
    for (size_t i = 0; options[i].name != NULL; i++) {
        CHECK(i < OPTIONS_MAX);
        snprintf(names[i], sizeof(names[i]), "--%s", options[i].name);
        if (strncmp(names[i], found, strlen(found)) == 0)
            return;
        list[i] = names[i];
    }
    if (*str_hint(found, list, hint) != '\0')
        fprintf(stderr, "%s: did you mean '%s\n", program, strchr(hint, '\'') + 1);
}

int cmd_option(int argc, char **argv, const char *shorts, const struct option *options)
{
    int c = getopt_long(argc, argv, shorts, options, NULL);
    const char *word = c == '?' && optopt == 0 && optind > 0 ? argv[optind - 1] : "";
    if (strncmp(word, "--", 2) == 0)
        suggest(argv[0], word, options);
    return c;
}

static bool take(const char *verb, const struct cmd_flag *f, int *ret_status)
{
    if (f->on != NULL) {
        *f->on = true;
    } else if (f->count == NULL) {
        *f->text = optarg;
    } else if (*f->count < f->most) {
        f->text[(*f->count)++] = optarg;
    } else {
        *ret_status = cmd_misused(verb, "more than %zu times --%s", f->most, f->name);
        return false;
    }
    return true;
}

bool cmd_flags(const char *verb, int argc, char **argv, const struct cmd_flag *flags, size_t n,
               int *ret_status)
{
    struct option options[FLAGS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
    CHECK(n <= FLAGS_MAX);
    for (size_t i = 0; i < n; i++)
        options[i + 1] = (struct option){flags[i].name, flags[i].on != NULL ? no_argument : required_argument,
                                         NULL, FIRST_FLAG + (int)i};
    for (int c; (c = cmd_option(argc, argv, "h", options)) != -1;) {
        if (c < FIRST_FLAG) {
            *ret_status = cmd_usage(verb, c == 'h');
            return false;
        }
        if (!take(verb, &flags[c - FIRST_FLAG], ret_status))
            return false;
    }
    return true;
}
