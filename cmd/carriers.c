/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/carriers.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cmd/table.h"
#include "tunnel/share_link.h"
#include "tunnel/share_place.h"
#include "tunnel/share_request.h"

#define ANSWER_NS (2 * NSEC_PER_SEC) /* that each has to answer */
#define ANSWER_MAX (SHARE_HEAD + SHARE_DATA_MAX + SHARE_HEAD)

/* All that comes until the end; false when it takes too long or is too much. */
static bool read_all(int fd, struct buf *ret)
{
    int64_t deadline = clock_monotonic() + ANSWER_NS;
    ret->max = ANSWER_MAX + 1;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_monotonic();
        if (left <= 0 || poll(&p, 1, (int)(left / NSEC_PER_MSEC) + 1) < 0)
            return false;
        if (!buf_reserve(ret, 1))
            return false;
        ssize_t n = recv(fd, ret->data + ret->len, MIN(ret->cap, ret->max) - ret->len, 0);
        if (n == 0)
            return true;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        ret->len += n > 0 ? (size_t)n : 0;
    }
}

/* The answer is one frame of JSON, and the end. */
static json_t *read_answer(const struct buf *b)
{
    size_t len, end;
    if (b->len < SHARE_HEAD || share_head_read(b->data, &len) != SHARE_DATA ||
        b->len != SHARE_HEAD + len + SHARE_HEAD ||
        share_head_read(b->data + SHARE_HEAD + len, &end) != SHARE_END)
        return NULL;
    json_t *o = json_loadb((const char *)b->data + SHARE_HEAD, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *ask(const char *path)
{
    struct buf question = {0}, answer = {0};
    uint8_t head[SHARE_HEAD];
    json_t *o = NULL;
    int fd = share_place_connect(path);
    if (fd < 0)
        return NULL;
    CHECK(share_encode_status(&question));
    share_head_write(head, SHARE_DATA, question.len);
    if (send(fd, head, sizeof(head), MSG_NOSIGNAL) == (ssize_t)sizeof(head) &&
        send(fd, question.data, question.len, MSG_NOSIGNAL) == (ssize_t)question.len && read_all(fd, &answer))
        o = read_answer(&answer);
    close(fd);
    buf_free(&question);
    buf_free(&answer);
    return o;
}

static bool is_socket(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".sock") == 0;
}

json_t *carriers_ask(void)
{
    char dir[SHARE_PATH_MAX];
    struct dirent **names = NULL;
    json_t *all = json_array();
    int count = share_place_directory(false, dir, NULL) == 0 ? scandir(dir, &names, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        char path[SHARE_PATH_MAX + 256];
        json_t *o = NULL;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        if (is_socket(path))
            o = ask(path);
        if (o != NULL)
            json_array_append_new(all, o);
        free(names[i]);
    }
    free(names);
    return all;
}

/* ---- as a table ---- */

static void add_count(struct table *t, const json_t *o, const char *key)
{
    table_add(t, "%lld", (long long)json_integer_value(json_object_get(o, key)));
}

/* What carries it, and where that is a choice of its own what was asked for: the same door may be reached in
 * several ways. */
static void add_transport(struct table *t, const json_t *o)
{
    const char *over = table_text(o, "transport"), *wanted = table_text(o, "wanted");
    bool reached = json_is_true(json_object_get(o, "reached"));
    if (strcmp(over, wanted) == 0)
        table_add(t, "%s", over);
    else
        table_add(t, "%s (%s%s)", over, wanted, reached ? "" : ", not reached yet");
}

/* Since when there is a connection, or why there is none now: it was lost, or none came about. */
static void add_since(struct table *t, const json_t *o)
{
    if (json_object_get(o, "failed") != NULL)
        table_add(t, "failed at %s: %s", table_text(o, "failed"), table_text(o, "failure"));
    else
        table_add(t, "%s", table_text(o, "since"));
}

void carriers_show(const json_t *carriers)
{
    static const char *const heading[] = {"carrier to", "named",    "as",   "by CA", "over", "path",
                                          "rtt",        "sessions", "warm", "in",    "out",  "since"};
    struct table t = {.columns = ARRAY_LEN(heading)};
    size_t i;
    json_t *o;
    for (i = 0; i < ARRAY_LEN(heading); i++)
        table_add(&t, "%s", heading[i]);
    json_array_foreach(carriers, i, o)
    {
        const json_t *rtt = json_object_get(o, "rtt_ms");
        bool has_path = json_is_string(json_object_get(o, "peer"));
        table_add(&t, "%s", table_text(o, "door"));
        table_add(&t, "%s", table_text(o, "name"));
        table_add(&t, "%s", table_text(o, "identity"));
        table_add(&t, "%s", table_text(o, "ca"));
        add_transport(&t, o);
        table_add(&t, "%s%s%s", table_text(o, "local"), has_path ? " > " : "",
                  has_path ? table_text(o, "peer") : "");
        if (json_is_real(rtt))
            table_add(&t, "%.1f ms", json_real_value(rtt));
        else
            table_add(&t, "-");
        add_count(&t, o, "sessions");
        if (strcmp(table_text(o, "transport"), "tcp") == 0)
            add_count(&t, o, "ready");
        else
            table_add(&t, "-");
        add_count(&t, o, "in");
        add_count(&t, o, "out");
        add_since(&t, o);
    }
    table_end(&t, stdout);
}
