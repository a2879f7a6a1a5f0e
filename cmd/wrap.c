/* SPDX-License-Identifier: Apache-2.0 */
/* TLS around any plain client or server: a door of one route, made from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/cmd.h"
#include "cmd/serve.h"
#include "cmd/wrap_options.h"

#define WRAP_NAME "cardea wrap" /* stands for a file in errors */

struct wrapping {
    const char *flags[WRAP_LINES_MAX];
};

/* "cardea wrap:LINE:COLUMN: KEYS: what is wrong": in terms of the option that the line comes from. */
static void print_error(const struct wrapping *w, const char *line, size_t len)
{
    const char *at = line + strlen(WRAP_NAME ":");
    char *end;
    unsigned long number =
        strncmp(line, WRAP_NAME ":", strlen(WRAP_NAME ":")) == 0 ? strtoul(at, &end, 10) : 0;
    const char *flag = number > 0 && number < WRAP_LINES_MAX ? w->flags[number] : NULL;
    const char *rest = flag == NULL ? NULL : memmem(line, len, ": ", 2);
    const char *what = rest == NULL ? NULL : memmem(rest + 2, len - (size_t)(rest + 2 - line), ": ", 2);
    if (what == NULL) {
        fprintf(stderr, "%.*s\n", (int)len, line);
        return;
    }
    fprintf(stderr, WRAP_NAME ": --%s%.*s\n", flag, (int)(len - (size_t)(what - line)), what);
}

static void on_refused(void *arg, const char *errors)
{
    for (const char *line = errors; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        print_error(arg, line, len);
        line += len + (line[len] != '\0');
    }
}

int cmd_wrap(int argc, char **argv)
{
    struct wrap_options options;
    struct wrapping w = {0};
    struct buf text = {0};
    bool asked;
    int status = wrap_options_read(argc, argv, &options, &asked);
    if (status != CMD_OK || asked)
        return status;
    wrap_options_config(&options, &text, w.flags);
    if (options.print) {
        fwrite(text.data, 1, text.len, stdout);
    } else {
        struct serve_hooks hooks = {
            .text = {(const char *)text.data, text.len}, .refused = on_refused, .arg = &w};
        status = serve_run(WRAP_NAME, &hooks);
    }
    buf_free(&text);
    return status;
}
