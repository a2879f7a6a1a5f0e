/* SPDX-License-Identifier: Apache-2.0 */
/* TLS around any plain client or server: a door of one route, made from the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/serve.h"
#include "cmd/wrap_options.h"
#include "cmd/wrap_told.h"
#include "config/config.h"

#define WRAP_NAME "cardea wrap" /* stands for a file in errors */

struct wrapping {
    struct wrap_options options;
    const char *flags[WRAP_LINES_MAX];
    struct wrap_told told; /* where no audit was asked for */
};

/* ---- what is wrong with the options ---- */

/* How much of the text is "KEYS: ", which keys of the configuration it speaks of, such as
 * "routes[0].forward.to: "; not the file that it begins with. */
static size_t keys_len(const char *text, size_t len)
{
    static const char *const alone[] = {"starttls", "speaks", "hand_on.protocol", "admin.socket"};
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789[].");
    if (n + 2 > len || text[n] != ':' || text[n + 1] != ' ')
        return 0;
    bool keys = memchr(text, '[', n) != NULL;
    for (size_t i = 0; i < ARRAY_LEN(alone); i++)
        keys |= strlen(alone[i]) == n && memcmp(alone[i], text, n) == 0;
    return keys ? n + 2 : 0;
}

/* How much of it is "cardea wrap:LINE:COLUMN: " or "cardea wrap: "; *ret_line is 0 where there is no line. */
static size_t place_len(const char *text, unsigned long *ret_line)
{
    static const char name[] = WRAP_NAME ":";
    *ret_line = 0;
    if (strncmp(text, name, strlen(name)) != 0)
        return 0;
    const char *at = text + strlen(name);
    size_t line = strspn(at, "0123456789");
    size_t column = line == 0 || at[line] != ':' ? 0 : strspn(at + line + 1, "0123456789");
    if (column > 0) {
        *ret_line = strtoul(at, NULL, 10);
        at += line + 1 + column;
        at += *at == ':';
    }
    return (size_t)(at - text) + (*at == ' ');
}

/* The place of a certificate is that of its key too; a file that is named says which it is. */
static const char *flag_of(const struct wrapping *w, unsigned long line, const char *text)
{
    const char *flag = line > 0 && line < WRAP_LINES_MAX ? w->flags[line] : NULL;
    const struct wrap_options *o = &w->options;
    for (size_t i = 0; flag != NULL && strcmp(flag, "cert") == 0 && i < o->key.n; i++) {
        size_t len = strlen(o->key.v[i]);
        if (strncmp(text, o->key.v[i], len) == 0 && text[len] == ':' &&
            strcmp(o->key.v[i], o->cert.v[i]) != 0)
            return "key";
    }
    return flag;
}

/* "cardea wrap:LINE:COLUMN: KEYS: what is wrong": in terms of the option that the line comes from. */
static void print_line(const struct wrapping *w, const char *line, size_t len)
{
    static const char warning[] = "warning: ";
    struct buf text = {0};
    unsigned long number;
    size_t at = place_len(line, &number);
    bool warns = strncmp(line + at, warning, strlen(warning)) == 0;
    at += warns ? strlen(warning) : 0;
    const char *flag = flag_of(w, number, line + at);
    CHECK(buf_printf(&text, WRAP_NAME ": %s", warns ? warning : ""));
    if (flag != NULL) {
        CHECK(buf_printf(&text, "--%s: ", flag));
        at += keys_len(line + at, len - at);
    }
    wrap_told_put(&text, line + at, len - at);
    fprintf(stderr, "%s\n", buf_text(&text));
    buf_free(&text);
}

static void on_told(void *arg, const char *lines)
{
    for (const char *line = lines; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        print_line(arg, line, len);
        line += len + (line[len] != '\0');
    }
}

/* A program that is not there would fail each connection. What else is wrong is for whoever serves to say. */
static int check_programs(const struct buf *text)
{
    struct buf errors = {0};
    struct config *c = config_parse(WRAP_NAME, text->data, text->len, &errors);
    const struct config_addresses *to = c == NULL ? NULL : &config_route_backend(&c->routes.v[0])->to;
    int status = CMD_OK;
    for (size_t i = 0; to != NULL && i < to->n; i++)
        if (to->v[i].place == CONFIG_AT_PROGRAM && access(to->v[i].program[0], X_OK) != 0) {
            fprintf(stderr, WRAP_NAME ": --to: found %s, expected a program that can be started: %s\n",
                    to->v[i].text.text, strerror(errno));
            status = CMD_FAILED;
        }
    config_free(c);
    buf_free(&errors);
    return status;
}

/* ---- serving ---- */

static void put_tls(struct buf *to, const struct wrap_options *o)
{
    const char *script = o->chat != NULL ? o->chat : o->starttls;
    CHECK(buf_printf(to, "TLS%s%s",
                     script == NULL    ? ""
                     : o->chat != NULL ? ", chat "
                                       : ", starttls ",
                     script == NULL ? "" : script));
}

/* A line for each listener: "IN -> TLS -> OUT", or "IN, TLS -> OUT". */
static void tell_serving(const struct wrap_options *o)
{
    struct buf text = {0};
    for (size_t i = 0; i < o->listen.n; i++) {
        if (strcmp(o->listen.v[i], "-") == 0)
            continue;
        CHECK(buf_printf(&text, WRAP_NAME ": %s%s", o->listen.v[i], o->client ? " -> " : ", "));
        put_tls(&text, o);
        for (size_t k = 0; k < o->to.n; k++)
            CHECK(buf_printf(&text, "%s%s", k == 0 ? " -> " : ", ", o->to.v[k]));
        CHECK(buf_printf(&text, "\n"));
    }
    fputs(text.len > 0 ? buf_text(&text) : "", stderr);
    buf_free(&text);
}

static void on_serving(void *arg, struct loop *loop)
{
    struct wrapping *w = arg;
    tell_serving(&w->options);
    if (w->options.audit == w->told.path)
        wrap_told_begin(&w->told, loop);
}

static void on_stopping(void *arg)
{
    struct wrapping *w = arg;
    if (w->options.audit == w->told.path)
        wrap_told_end(&w->told);
}

static int serve(struct wrapping *w)
{
    struct buf text = {0};
    struct err err;
    bool told = w->options.audit == NULL;
    if (told && wrap_told_open(&w->told, &err) != 0)
        return cmd_failed("%s", err.text);
    if (told)
        w->options.audit = w->told.path;
    wrap_options_config(&w->options, &text, w->flags);
    struct serve_hooks hooks = {.text = {(const char *)text.data, text.len},
                                .told = on_told,
                                .ready = on_serving,
                                .stopping = on_stopping,
                                .arg = w};
    int status = check_programs(&text);
    if (status == CMD_OK)
        status = serve_run(WRAP_NAME, &hooks);
    if (told)
        wrap_told_close(&w->told);
    buf_free(&text);
    return status;
}

int cmd_wrap(int argc, char **argv)
{
    struct wrapping w = {0};
    bool asked;
    int status = wrap_options_read(argc, argv, &w.options, &asked);
    if (status != CMD_OK || asked)
        return status;
    if (!w.options.print)
        return serve(&w);
    struct buf text = {0};
    wrap_options_config(&w.options, &text, w.flags);
    fwrite(text.data, 1, text.len, stdout);
    buf_free(&text);
    return CMD_OK;
}
