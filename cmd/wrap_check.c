/* SPDX-License-Identifier: Apache-2.0 */
/* What does not go without something else, or not beside it: said here in the words of the command line. What
 * the options say one by one is judged as the configuration that they make. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "cert/identity.h"
#include "cmd/cmd.h"
#include "cmd/protocols.h"
#include "cmd/wrap_options.h"
#include "config/config.h"
#include "session/plan.h"
#include "starttls/starttls.h"

/* ---- what the server must prove ---- */

/* Each is told once; but of pins any will do. */
static int check_twice(const struct wrap_options *o)
{
    static const char *const called[] = {"uri", "pin", "issuer", "name"};
    size_t found[ARRAY_LEN(called)] = {0};
    for (size_t i = 0; i < o->expect.n; i++) {
        const char *value;
        enum wrap_expected kind = wrap_expected_of(o->expect.v[i], &value);
        if (kind != WRAP_EXPECT_ANY && kind != WRAP_EXPECT_PIN && ++found[kind] > 1)
            return cmd_misused("wrap", "found a second %s with --expect, '%s': expected one at most",
                               called[kind], o->expect.v[i]);
    }
    return CMD_OK;
}

/* `any` would take back what the others ask for. */
static int check_anyone(const struct wrap_options *o)
{
    const char *value, *other = o->ca != NULL ? "--ca" : NULL;
    bool anyone = false;
    for (size_t i = 0; i < o->expect.n; i++) {
        bool any = wrap_expected_of(o->expect.v[i], &value) == WRAP_EXPECT_ANY;
        anyone |= any;
        other = any ? other : o->expect.v[i];
    }
    if (!anyone || other == NULL)
        return CMD_OK;
    return cmd_misused("wrap", "'--expect any' asks nothing of the server, '%s' does: leave one out", other);
}

static int check_expectations(const struct wrap_options *o)
{
    for (size_t i = 0; i < o->expect.n; i++) {
        const char *value, *what = o->expect.v[i];
        if (wrap_expected_of(what, &value) != WRAP_EXPECT_NAME)
            continue;
        if (strstr(what, "://") != NULL)
            return cmd_misused("wrap", "found '%s' with --expect, expected a name; did you mean 'uri=%s'?",
                               what, what);
        if (strchr(what, '=') != NULL)
            return cmd_misused("wrap",
                               "found '%s' with --expect: expected a DNS name or IP address, uri=URI, "
                               "pin=SHA256, issuer=NAME or any",
                               what);
    }
    int status = check_twice(o);
    return status == CMD_OK ? check_anyone(o) : status;
}

/* ---- from where to where ---- */

static int check_places(const struct wrap_options *o)
{
    for (size_t i = 0; i < o->listen.n; i++)
        for (size_t k = 0; k < o->to.n; k++)
            if (strcmp(o->listen.v[i], "-") != 0 && strcmp(o->listen.v[i], o->to.v[k]) == 0)
                return cmd_misused("wrap",
                                   "found %s with --listen and with --to: each connection there would make "
                                   "another one, expected where the %s is",
                                   o->to.v[k], o->client ? "TLS server" : "plain server");
    return CMD_OK;
}

/* ---- how TLS begins ---- */

static int unknown_protocol(const struct wrap_options *o)
{
    char hint[STR_HINT_MAX];
    struct buf list = {0};
    protocols_put(&list, o->client ? STARTTLS_ASK : STARTTLS_ANSWER, ", ");
    int status =
        cmd_misused("wrap",
                    "found '%s' with --starttls, expected one of %s, or the file of a script of your "
                    "own, with a '/' or '.' in its name%s",
                    o->starttls, buf_text(&list), str_hint(o->starttls, starttls_builtin_words(), hint));
    buf_free(&list);
    return status;
}

static int check_protocol(const struct wrap_options *o)
{
    if (o->starttls == NULL || starttls_is_file(o->starttls))
        return CMD_OK;
    if (strcmp(o->starttls, CONFIG_SPEAKS_TLS) == 0 || strcmp(o->starttls, CONFIG_SPEAKS_PLAIN) == 0)
        return cmd_misused("wrap",
                           "found '%s' with --starttls, expected a protocol such as imap: without --starttls "
                           "TLS begins at once",
                           o->starttls);
    const struct starttls *p = starttls_builtin(o->starttls);
    if (p == NULL && starttls_is_at_once(o->starttls))
        return cmd_misused("wrap",
                           "found '%s' with --starttls: in %s TLS begins at once, leave --starttls out",
                           o->starttls, o->starttls);
    if (p == NULL)
        return unknown_protocol(o);
    if (!plan_protocol_can(p, o->client ? STARTTLS_ASK : STARTTLS_ANSWER))
        return cmd_misused("wrap", "--starttls %s goes with 'cardea wrap %s' only", o->starttls,
                           o->client ? "server" : "client");
    return CMD_OK;
}

static int check_starttls(const struct wrap_options *o)
{
    if (o->chat != NULL && o->starttls != NULL)
        return cmd_misused("wrap", "--chat and --starttls both say how TLS begins: leave one out");
    if (o->plaintext && o->starttls == NULL)
        return cmd_misused("wrap", "--plaintext is about STARTTLS: --starttls PROTOCOL is missing");
    if (o->plaintext && o->clients != NULL && !o->optional)
        return cmd_misused("wrap", "--plaintext lets clients in who prove nothing, --clients demands that "
                                   "they do: add --optional, or leave one out");
    if (o->plaintext && o->tell != NULL)
        return cmd_misused("wrap",
                           "--plaintext lets clients in of whom the server would be told nothing, and "
                           "--tell has it trust what it is told: leave one out");
    return check_protocol(o);
}

/* ---- what the server is told ---- */

static int unknown_telling(const char *found)
{
    const char *const *names = starttls_builtin_names();
    struct buf list = {0};
    for (size_t i = 0; names[i] != NULL; i++)
        if (plan_protocol_can(starttls_builtin(names[i]), STARTTLS_IDENTIFY))
            CHECK(buf_printf(&list, "%s%s", list.len > 0 ? ", " : "", names[i]));
    int status =
        cmd_misused("wrap",
                    "found '%s' with --tell: expected a protocol in which a server can be told of its "
                    "client: %s; any can be with --proxy, HTTP with --headers",
                    found, buf_text(&list));
    buf_free(&list);
    return status;
}

/* The server is told in the protocol that it speaks. */
static int check_telling(const struct wrap_options *o)
{
    bool known = o->starttls != NULL && !starttls_is_file(o->starttls);
    const struct starttls *tell = o->tell == NULL ? NULL : starttls_builtin(o->tell);
    if (o->tell != NULL && (tell == NULL || !plan_protocol_can(tell, STARTTLS_IDENTIFY)))
        return unknown_telling(o->tell);
    if (o->headers && (known || o->tell != NULL))
        return cmd_misused("wrap",
                           "--headers are of HTTP, '%s %s' says that the server speaks something else: leave "
                           "one out",
                           known ? "--starttls" : "--tell", known ? o->starttls : o->tell);
    if (known && o->tell != NULL && strcmp(o->tell, o->starttls) != 0)
        return cmd_misused("wrap", "found '--tell %s' beside '--starttls %s': a server speaks one protocol",
                           o->tell, o->starttls);
    return CMD_OK;
}

/* ---- the rest ---- */

static int check_certificates(const struct wrap_options *o)
{
    if (!o->client && o->cert.n == 0)
        return cmd_misused("wrap", "a server proves who it is: --cert FILE is missing, and --key FILE");
    if (o->cert.n != o->key.n)
        return cmd_misused(
            "wrap",
            "found %zu --cert and %zu --key: each certificate has its key (it may be in the same file)",
            o->cert.n, o->key.n);
    if (o->client && o->cert.n > 1)
        return cmd_misused("wrap", "found %zu --cert, expected one: a client shows one certificate",
                           o->cert.n);
    if (o->clients == NULL && (o->allow.n > 0 || o->optional))
        return cmd_misused("wrap", "--%s is about client certificates: --clients FILE says whose are taken",
                           o->optional ? "optional" : "allow");
    return CMD_OK;
}

/* KIND=PATTERN, or a name. */
static int check_allowed(const struct wrap_options *o)
{
    for (size_t i = 0; i < o->allow.n; i++) {
        const char *end = strchr(o->allow.v[i], '=');
        size_t len = end == NULL ? 0 : (size_t)(end - o->allow.v[i]);
        bool known = end == NULL;
        for (enum identity_kind kind = 0; kind < IDENTITY_KINDS && !known; kind++) {
            const char *name = identity_kind_name(kind);
            known = strlen(name) == len && memcmp(name, o->allow.v[i], len) == 0;
        }
        if (!known)
            return cmd_misused("wrap",
                               "found '%s' with --allow: expected a name, or group=, dns=, uri=, email= or "
                               "issuer= and a pattern",
                               o->allow.v[i]);
    }
    return CMD_OK;
}

int wrap_check(const struct wrap_options *o)
{
    if (o->listen.n == 0)
        return cmd_misused("wrap", "where do connections come in? --listen ADDRESS is missing, such as %s",
                           o->client ? "127.0.0.1:8080" : "[::]:993");
    if (o->to.n == 0)
        return cmd_misused("wrap", "where do they go to? --to ADDRESS is missing, such as %s",
                           o->client ? "www.example.com:443" : "127.0.0.1:143");
    static int (*const checks[])(const struct wrap_options *) = {
        check_places, check_certificates, check_allowed, check_starttls, check_telling, check_expectations};
    int status = CMD_OK;
    for (size_t i = 0; i < ARRAY_LEN(checks) && status == CMD_OK; i++)
        status = checks[i](o);
    return status;
}
