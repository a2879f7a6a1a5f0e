/* SPDX-License-Identifier: Apache-2.0 */
/* POST /stage?do=VERB&...: put a candidate up (file=PATH&key=PATH&name=LABEL, or tls=SETTINGS), and promote,
 * roll back or disable it (name=LABEL). Answers once it is in force, {"ok":true,"label":...,"lost":[...]};
 * or, with status 422, {"ok":false,"errors":[...]}, and then nothing has changed. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin_internal.h"
#include "admin/staging.h"
#include "admin/tell.h"
#include "base/check.h"
#include "keeper/candidates.h"
#include "session/snapshot.h"
#include "session/staging.h"

/* What is asked for. */
struct wanted {
    char verb[16], name[512], file[PATH_MAX], key[PATH_MAX], tls[512], force[2];
    struct candidates_order order;
};

/* An order that is being put in force. */
struct staging_asked {
    struct exchange *exchange;
    struct buf body;
};

static void refuse(struct exchange *e, const char *errors)
{
    struct buf body = {0};
    if (buf_printf(&body, "{\"ok\":false,\"errors\":") && tell_lines(&body, errors) &&
        buf_append(&body, "}\n", 2))
        exchange_answer(e, 422, TYPE_JSON, &body);
    else
        admin_answer(e, false, TYPE_JSON, &body);
}

static bool read_verb(const char *word, enum candidates_verb *ret)
{
    static const char *const words[] = {[CANDIDATES_STAGE] = "stage",
                                        [CANDIDATES_PROMOTE] = "promote",
                                        [CANDIDATES_ROLLBACK] = "rollback",
                                        [CANDIDATES_DISABLE] = "disable"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], word) == 0) {
            *ret = (enum candidates_verb)i;
            return true;
        }
    return false;
}

static const char *given(const struct request *r, const char *key, char *space, size_t size)
{
    return request_value(r, key, space, size) ? space : NULL;
}

/* The door may stand in another folder than who asks. */
static bool is_absolute(const char *path)
{
    return path == NULL || path[0] == '/' || strncmp(path, "pkcs11:", strlen("pkcs11:")) == 0;
}

static bool read_order(const struct request *r, struct wanted *w, struct err *err)
{
    struct candidates_order *o = &w->order;
    if (!request_value(r, "do", w->verb, sizeof(w->verb)) || !read_verb(w->verb, &o->verb)) {
        err_set(err, "the query must begin with do=stage, promote, rollback or disable");
        return false;
    }
    o->label = given(r, "name", w->name, sizeof(w->name));
    o->file = given(r, "file", w->file, sizeof(w->file));
    o->key = given(r, "key", w->key, sizeof(w->key));
    o->tls = given(r, "tls", w->tls, sizeof(w->tls));
    given(r, "force", w->force, sizeof(w->force));
    if (o->verb == CANDIDATES_STAGE && ((o->file == NULL || o->key == NULL) == (o->tls == NULL))) {
        err_set(err, "expected a file with its key, or TLS settings, to be staged");
        return false;
    }
    if (is_absolute(o->file) && is_absolute(o->key))
        return true;
    err_set(err, "found '%s', expected an absolute path", is_absolute(o->file) ? o->key : o->file);
    return false;
}

static void in_force(void *arg, const struct review *review, const char *errors)
{
    struct staging_asked *asked = arg;
    if (review != NULL)
        admin_answer(asked->exchange, true, TYPE_JSON, &asked->body);
    else
        refuse(asked->exchange, errors);
    buf_free(&asked->body);
    free(asked);
}

/* It is kept, and waits for its turn. */
static void put_in_force(struct exchange *e, const struct admin *a, struct staging *s, struct buf *lost)
{
    struct staging_asked *asked = calloc(1, sizeof(*asked));
    CHECK(asked != NULL);
    asked->exchange = e;
    bool made = buf_printf(&asked->body, "{\"ok\":true,\"label\":") &&
                admin_json_text(&asked->body, candidates_label(a->candidates)) &&
                buf_printf(&asked->body, ",\"seen\":%s,\"lost\":",
                           door_snapshot(a->door)->config->staging != NULL ? "true" : "false") &&
                tell_lines(&asked->body, buf_text(lost)) && buf_append(&asked->body, "}\n", 2);
    CHECK(made);
    door_put_staging(a->door, s, in_force, asked);
}

/* Names that nobody would be served any more are given up only when that is said. */
static bool may_lose(const struct wanted *w, struct buf *lost, struct buf *errors)
{
    if (w->order.verb != CANDIDATES_PROMOTE || lost->len == 0 || strcmp(w->force, "1") == 0)
        return true;
    const char *names = buf_text(lost);
    buf_printf(errors, "no certificate would have %.*s%s any more; add the names, or promote with --force\n",
               (int)strcspn(names, "\n"), names, strchr(names, '\n')[1] != '\0' ? " and others" : "");
    return false;
}

static void carry_out(struct exchange *e, struct admin *a, const struct wanted *w)
{
    struct err err;
    struct buf errors = {0}, lost = {0};
    const struct snapshot *snap = door_snapshot(a->door);
    if (candidates_order(a->candidates, &w->order, time(NULL), &err) != 0) {
        refuse(e, err.text);
        return;
    }
    struct staging *s = candidates_now(a->candidates, time(NULL));
    bool good = staging_put_lost(&lost, snap, snap->staging, s) && may_lose(w, &lost, &errors) &&
                door_try_staging(a->door, s, &errors);
    if (!good)
        candidates_undo(a->candidates);
    else if (candidates_keep(a->candidates, &err) != 0)
        good = !buf_printf(&errors, "%s\n", err.text);
    if (good)
        put_in_force(e, a, s, &lost);
    else
        refuse(e, buf_text(&errors));
    staging_unref(s);
    buf_free(&errors);
    buf_free(&lost);
}

void admin_stage(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    struct wanted *w = calloc(1, sizeof(*w));
    struct err err;
    CHECK(w != NULL);
    if (a->candidates == NULL)
        refuse(e, "this door keeps no candidates: its folder of state cannot be used; see its log");
    else if (!read_order(request, w, &err))
        refuse(e, err.text);
    else
        carry_out(e, a, w);
    free(w);
}
