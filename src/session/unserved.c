/* SPDX-License-Identifier: Apache-2.0 */
/* A client for whom there is no backend: it hears so where its people look, in the words of its own protocol,
 * where that is known and nothing but such words is expected (the section `unavailable` of the script). Else
 * it gets an alert, and without TLS its connection breaks. */
#include <stdio.h>

#include "session/session_internal.h"
#include "starttls/starttls.h"

#define WHY_MAX                                                                                \
    92 /* with its NUL: what a script puts it into need not hold more (ldap: 127 bytes in all) \
        */

/* The protocol in which the client waits for words of a server; NULL: it is not known, or TLS comes first. */
static const struct starttls *awaited(const struct session *s)
{
    const struct talk *t = &s->setup->talk;
    bool within = s->when.opened != 0;
    if (s->route == NULL || s->setup->front != NULL)
        return NULL;
    if (t->spoken != NULL)
        return within || t->in_clear || relay_leads(s) ? t->spoken : NULL;
    return within || s->route->config->action == CONFIG_FORWARD ? s->route->asks : NULL;
}

/* For the people of this side, who can do something about it; NULL: there is nothing to do but to wait. */
static const char *reason_words(const struct session *s)
{
    switch (s->reason) {
    case CLOSE_NO_SUCH_HOST:
        return "the server's name does not exist";
    case CLOSE_REFUSED:
        return "the server refuses the connection";
    case CLOSE_UNREACHABLE:
        return "the server cannot be reached";
    case CLOSE_DIAL_TIMEOUT:
        return "the server does not answer in time";
    case CLOSE_BACKEND_TLS:
        return s->setup->talk.disbelieved ? "the server's certificate is not accepted"
                                          : "the server does not begin TLS";
    case CLOSE_BACKEND_RESET:
        return "the server has broken off";
    default:
        return NULL;
    }
}

/* Strangers learn no more than that. */
static void set_facts(struct session *s, struct starttls_run *run)
{
    char why[WHY_MAX];
    const char *words = s->route->config->action == CONFIG_FORWARD ? reason_words(s) : NULL;
    bool greeted = s->when.opened != 0 || s->down->bytes_written > 0;
    int n = snprintf(why, sizeof(why), "service not available now%s%s", words != NULL ? ": " : "",
                     words != NULL ? words : "");
    CHECK(n < WHY_MAX);
    starttls_run_set(run, "why", (struct str){why, (size_t)n});
    starttls_run_set(run, "greeted", (struct str){"yes", greeted ? 3 : 0});
}

/* What was said to the backend is of no use any more. False: there is nothing that can be told. */
static bool begin(struct session *s)
{
    struct setup *p = s->setup;
    const struct starttls *protocol = awaited(s);
    int section = protocol == NULL ? -1 : starttls_section(protocol, STARTTLS_UNAVAILABLE);
    if (section < 0)
        return false;
    link_close(s->up, true);
    s->up = NULL;
    buf_free(&p->say_up);
    p->expired = false;
    if (p->talk.near == NULL) {
        p->talk.near = starttls_run_new(protocol);
        preamble_describe(s, p->talk.near);
    }
    set_facts(s, p->talk.near);
    struct buf words = {0};
    starttls_run_begin(p->talk.near, section, &words);
    session_say_all(s, s->down, &words);
    return true;
}

enum session_state session_unserved(struct session *s, enum close_reason reason)
{
    session_end(s, reason);
    if (begin(s))
        return SESSION_UNSERVED;
    if (s->when.opened == 0)
        return SESSION_CLOSED;
    link_refuse(s->down, close_reason_alert(reason)); /* with unread bytes a reset would overtake it */
    return session_farewell(s, NULL, 0, reason);
}

enum session_state step_unserved(struct session *s)
{
    enum session_state next = SESSION_UNSERVED;
    for (bool again = true; again && next == SESSION_UNSERVED;) {
        if (preamble_hear(s) != STARTTLS_MORE)
            return session_farewell(s, NULL, 0, s->reason);
        next = session_need_more(s, SESSION_UNSERVED, &again);
    }
    return next;
}
