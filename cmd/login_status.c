/* SPDX-License-Identifier: Apache-2.0 */
/* Who this machine is logged in as, and the end of that. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "cert/pem.h"
#include "cmd/cmd.h"
#include "cmd/login.h"

#define SPAN_MAX 32

/* "3 h 59 min" */
static const char *span(int64_t seconds, char text[SPAN_MAX])
{
    int64_t minutes = (seconds + 59) / 60;
    if (minutes >= 60)
        snprintf(text, SPAN_MAX, "%" PRId64 " h %02" PRId64 " min", minutes / 60, minutes % 60);
    else
        snprintf(text, SPAN_MAX, "%" PRId64 " min", minutes);
    return text;
}

static int tell_json(const struct login_options *o, const struct keep *k, int64_t now)
{
    char until[PEM_TIME_MAX], renewable[PEM_TIME_MAX];
    json_t *m =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:b, s:s}", "user", k->user, "door", k->door, "until",
                  pem_time_text(k->until, until), "remaining",
                  (json_int_t)(k->until > now ? k->until - now : 0), "renewable_until",
                  pem_time_text(k->renewable_until, renewable), "valid", k->until > now, "file", o->file);
    char *text = m != NULL ? json_dumps(m, JSON_COMPACT) : NULL;
    json_decref(m);
    if (text == NULL)
        return cmd_failed("what is kept of the login is no UTF-8");
    puts(text);
    free(text);
    return CMD_OK;
}

int login_tell(const struct login_options *o, const struct keep *k)
{
    char until[PEM_TIME_MAX], left[SPAN_MAX], more[SPAN_MAX];
    int64_t now = clock_wall() / NSEC_PER_SEC;
    if (o->json)
        return tell_json(o, k, now);
    if (k->until <= now) {
        printf("%s at %s: ended at %s; run 'cardea login'\n", k->user, k->door,
               pem_time_text(k->until, until));
        return CMD_OK;
    }
    printf("%s at %s: until %s, for another %s", k->user, k->door, pem_time_text(k->until, until),
           span(k->until - now, left));
    if (k->renewable_until > k->until)
        printf("; renewable for %s", span(k->renewable_until - now, more));
    printf("\n");
    return CMD_OK;
}

int login_show_status(const struct login_options *o)
{
    if (!o->has_kept) {
        if (o->json)
            puts("{\"valid\":false}");
        else
            printf("not logged in: run 'cardea login'\n");
        return CMD_FAILED;
    }
    int status = login_tell(o, &o->kept);
    return status == CMD_OK && o->kept.until <= clock_wall() / NSEC_PER_SEC ? CMD_FAILED : status;
}

int login_log_out(const struct login_options *o)
{
    struct err err;
    /* Behind a renewal that is under way, which would bring it back. */
    int lock = access(o->file, F_OK) == 0 ? keep_lock(o->file, &err) : -1;
    int status = keep_remove(o->file, &err);
    if (lock >= 0)
        close(lock);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (o->json)
        puts("{\"valid\":false}");
    return CMD_OK;
}
