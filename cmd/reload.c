/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea reload`: the running door reads its configuration again. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/tell.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "session/review.h"

#define RELOAD_NS (60 * NSEC_PER_SEC)
#define LINE_MAX_SHOWN 4096

static void print_lines(const json_t *lines)
{
    size_t i;
    json_t *line;
    char clean[LINE_MAX_SHOWN];
    json_array_foreach(lines, i, line)
    {
        str_clean(clean, sizeof(clean), json_is_string(line) ? json_string_value(line) : "");
        fprintf(stderr, "%s\n", clean);
    }
}

static size_t count_of(const json_t *answer, const char *key)
{
    return (size_t)MAX(0, json_integer_value(json_object_get(answer, key)));
}

/* It is in force. Where nobody looks only that offers have fallen is said. */
static void tell_done(const json_t *answer)
{
    struct review r = {count_of(answer, "offers"), count_of(answer, "withdrawn"), count_of(answer, "later"),
                       count_of(answer, "carriers"), count_of(answer, "unused")};
    struct buf text = {0};
    bool watched = isatty(STDOUT_FILENO);
    if (watched)
        printf(
            "cardea: configuration reloaded; connections that stand go on: 'cardea status --sessions' marks "
            "those that the policy would deny now\n");
    if ((watched || r.withdrawn > 0) && tell_review(&text, &r) && text.len > 0)
        fputs(buf_text(&text), watched ? stdout : stderr);
    buf_free(&text);
}

/* Tell people how it went. */
static void tell(const json_t *answer)
{
    const char *notice = json_string_value(json_object_get(answer, "notice"));
    print_lines(json_object_get(answer, "errors"));
    print_lines(json_object_get(answer, "warnings"));
    if (!json_is_true(json_object_get(answer, "ok")))
        fprintf(stderr, "cardea: the configuration was not reloaded; the one before stays in force\n");
    else
        tell_done(answer);
    if (notice != NULL)
        fprintf(stderr, "cardea: %s\n", notice);
}

static int reload(const char *socket, bool json)
{
    json_t *answer;
    struct err err;
    int status = admin_ask(socket, "POST", "/reload", RELOAD_NS, &answer, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
    } else {
        tell(answer);
    }
    json_decref(answer);
    return status == 200 ? CMD_OK : CMD_FAILED;
}

int cmd_reload(int argc, char **argv)
{
    const char *socket = NULL;
    bool json = false;
    int status;
    const struct cmd_flag flags[] = {{"socket", .text = &socket}, {"json", .on = &json}};
    if (!cmd_flags("reload", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    return optind == argc ? reload(socket, json)
                          : cmd_misused("reload", "unexpected argument: %s", argv[optind]);
}
