/* SPDX-License-Identifier: Apache-2.0 */
/* What errors tell of a peer: what it said, what was waited for, and what may have been meant. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "starttls/run.h"

const char *run_shown(struct str unit, char ret[SHOWN_TEXT_MAX])
{
    size_t n = MIN(unit.len, (size_t)SHOWN_MAX), w = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)unit.p[i];
        w += (size_t)snprintf(ret + w, 5, c >= ' ' && c < 127 ? "%c" : "\\x%02x", c);
    }
    memcpy(ret + w, n < unit.len ? "..." : "", n < unit.len ? 4 : 1);
    return ret;
}

bool run_is_in(const struct starttls_run *r, enum starttls_section which)
{
    int number = starttls_section(r->p, which);
    if (number < 0)
        return false;
    const struct range *states = &r->p->sections[number].states;
    return r->state >= states->first && r->state < states->first + states->n;
}

/* ---- what was waited for ---- */

/* What was heard last, with what is pending; of a stream its end. */
static struct str heard_last(const struct starttls_run *r, struct str pending, bool stream,
                             char buf[2 * HEARD_MAX])
{
    if (!stream)
        return pending.len > 0 ? pending : (struct str){r->heard, r->heard_len};
    size_t n = MIN(pending.len, (size_t)SHOWN_MAX);
    memcpy(buf, r->heard, r->heard_len);
    memcpy(buf + r->heard_len, n > 0 ? pending.p + pending.len - n : "", n);
    size_t all = r->heard_len + n, shows = MIN(all, (size_t)SHOWN_MAX);
    return (struct str){buf + all - shows, shows};
}

/* Of a stream its text tells more than the state's name, which need not be of the user's making. */
static void put_awaited(const struct starttls_run *r, char ret[STARTTLS_WAITING_MAX])
{
    const struct starttls *p = r->p;
    const struct state *s = &p->states[r->state];
    char text[SHOWN_TEXT_MAX];
    if (s->unit.kind != UNIT_STREAM || s->rules.n == 0) {
        snprintf(ret, STARTTLS_WAITING_MAX, "%s: the dialogue did not go on in time (the state is '%s')",
                 starttls_name(p), script_text(p, s->name_at));
        return;
    }
    const struct op *op = &p->ops[p->patterns[p->rules[s->rules.first].patterns.first].first];
    snprintf(ret, STARTTLS_WAITING_MAX, "%s: '%s' did not come in time", starttls_name(p),
             run_shown((struct str){script_text(p, op->at), op->len}, text));
}

/* A server that has said nothing yet, where it was to be asked for TLS, may wait for a ClientHello. */
static bool may_await_tls(const struct starttls_run *r)
{
    return run_is_in(r, STARTTLS_ASK) || run_is_in(r, STARTTLS_RELAY_CLIENT) ||
           run_is_in(r, STARTTLS_RELAY_BOTH);
}

const char *starttls_run_waiting(const struct starttls_run *r, const struct str *pending,
                                 char ret[STARTTLS_WAITING_MAX])
{
    char text[SHOWN_TEXT_MAX], buf[2 * HEARD_MAX];
    *ret = '\0';
    if (r->state == NO_INDEX)
        return ret;
    put_awaited(r, ret);
    if (pending == NULL)
        return ret;
    size_t n = strlen(ret);
    bool stream = r->p->states[r->state].unit.kind == UNIT_STREAM;
    struct str last = heard_last(r, *pending, stream, buf);
    if (last.len == 0)
        snprintf(ret + n, STARTTLS_WAITING_MAX - n, "; the server said nothing%s",
                 may_await_tls(r) ? "; perhaps TLS begins at once there: leave 'starttls' out" : "");
    else
        snprintf(ret + n, STARTTLS_WAITING_MAX - n, "; the server said last '%s'", run_shown(last, text));
    return ret;
}

/* ---- what may have been meant ---- */

static bool is_in_line(struct str line, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= line.len; i++)
        if (strncasecmp(line.p + i, word, n) == 0)
            return true;
    return false;
}

/* Of the greetings of servers: how they begin, and what else is in the line. */
static const struct {
    const char *begins, *has, *protocol;
} greetings[] = {{"220", "LMTP", "lmtp"},  {"220", "FTP", "ftp"},
                 {"220", "SMTP", "smtp"},  {"220", "", "smtp (or ftp, lmtp)"},
                 {"* OK", "", "imap"},     {"* PREAUTH", "", "imap"},
                 {"+OK", "", "pop3"},      {"200", "", "nntp"},
                 {"201", "", "nntp"},      {"\"IMPLEMENTATION\"", "", "managesieve"},
                 {":", " NOTICE ", "irc"}, {"\xff\xfd", "", "telnet"}};

/* NULL: no server that is known greets so. */
static const char *protocol_of_greeting(struct str line)
{
    bool mysql = line.len > 4 && line.p[3] == 0 && line.p[4] == 10; /* packet 0, protocol 10 */
    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        size_t n = strlen(greetings[i].begins);
        if (line.len >= n && memcmp(line.p, greetings[i].begins, n) == 0 &&
            is_in_line(line, greetings[i].has))
            return greetings[i].protocol;
    }
    return mysql ? "mysql" : NULL;
}

/* Without its end; all of what is no text. */
static struct str first_line(struct str found)
{
    const char *end = memchr(found.p, '\n', found.len);
    if (end == NULL || memchr(found.p, '\0', found.len) != NULL)
        return found;
    found.len = (size_t)(end - found.p);
    found.len -= found.len > 0 && found.p[found.len - 1] == '\r';
    return found;
}

const char *starttls_found_clear(struct str found, const char *option, char ret[STARTTLS_CLEAR_MAX])
{
    char text[SHOWN_TEXT_MAX];
    struct str line = first_line(found);
    const char *protocol = option != NULL ? protocol_of_greeting(line) : NULL;
    snprintf(ret, STARTTLS_CLEAR_MAX, "expected TLS, found '%s' in the clear%s%s%s", run_shown(line, text),
             protocol != NULL ? "; perhaps " : "", protocol != NULL ? option : "",
             protocol != NULL ? protocol : "");
    return ret;
}

bool starttls_is_at_once(const char *name)
{
    char plain[32];
    size_t len = strlen(name);
    return len > 1 && name[len - 1] == 's' && str_copy(plain, sizeof(plain), name, len - 1) &&
           starttls_builtin(plain) != NULL;
}
