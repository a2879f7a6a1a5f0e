/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert`: the certificates of the running door. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "cmd/admin_client.h"
#include "cmd/cert_ls.h"
#include "cmd/cert_stage.h"
#include "cmd/cmd.h"

#define SWAP_NS (10 * NSEC_PER_SEC)
#define FORGET_NS (10 * NSEC_PER_SEC)
#define REVOKE_NS (120 * NSEC_PER_SEC) /* a CA is asked, perhaps several times */

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* Why the door has not done it. */
static int refused(int code, const json_t *answer)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    return error != NULL ? cmd_failed("%s", error)
                         : cmd_failed("the door answered %d: is it another version?", code);
}

/* ---- cert swap ---- */

static int tell_swap(int code, const json_t *answer, bool json)
{
    long long count = number_of(answer, "swapped"), left = number_of(answer, "left");
    if (code != 200)
        return refused(code, answer);
    if (json)
        cmd_print_json(answer);
    else
        printf("%lld swapped%s\n", count, count > 0 ? "; the next handshake gets what stood by" : "");
    if (left > 0 && !json)
        fprintf(stderr, "cardea: %lld stay: they have nothing that could be served instead\n", left);
    return left > 0 || count == 0 ? CMD_FAILED : CMD_OK;
}

static int swap(const char *socket, bool json, const char *key, const char *value)
{
    struct buf path = {0};
    struct err err;
    json_t *answer = NULL;
    CHECK(buf_printf(&path, "/certificates/swap?%s", value == NULL ? key : ""));
    admin_put_value(&path, key, value);
    int code = admin_ask(socket, "POST", buf_text(&path), SWAP_NS, &answer, &err);
    int status = code < 0 ? cmd_failed("%s", err.text) : tell_swap(code, answer, json);
    json_decref(answer);
    buf_free(&path);
    return status;
}

static int cert_swap(int argc, char **argv)
{
    const char *socket = NULL, *ca = NULL;
    bool all = false, json = false;
    int status;
    const struct cmd_flag flags[] = {
        {"socket", .text = &socket}, {"ca", .text = &ca}, {"all", .on = &all}, {"json", .on = &json}};
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    int named = argc - optind;
    if (named + all + (ca != NULL) != 1)
        return cmd_misused("cert", "swap which? expected one of NAME, --ca CA and --all");
    return swap(socket, json, named > 0 ? "name" : ca != NULL ? "ca" : "all", named > 0 ? argv[optind] : ca);
}

/* ---- cert forget ---- */

struct forgetting {
    const char *socket;
    bool revoke, json;
};

static int tell_forgotten(const struct forgetting *f, const char *name, int code, const json_t *answer)
{
    long long count = number_of(answer, "forgotten");
    if (code != 200)
        return refused(code, answer);
    if (f->json)
        cmd_print_json(answer);
    else if (count == 0)
        return cmd_failed("the door has no certificate on demand for %s", name);
    else if (f->revoke)
        printf("%s: %lld revoked, and forgotten\n", name, number_of(answer, "revoked"));
    return count > 0 ? CMD_OK : CMD_FAILED;
}

static int forget(const struct forgetting *f, const char *name)
{
    struct err err;
    json_t *answer = NULL;
    char path[64 + HOSTNAME_MAX];
    snprintf(path, sizeof(path), "/forget?name=%s%s", name, f->revoke ? "&revoke=1" : "");
    int code = admin_ask(f->socket, "POST", path, f->revoke ? REVOKE_NS : FORGET_NS, &answer, &err);
    int status = code < 0 ? cmd_failed("%s", err.text) : tell_forgotten(f, name, code, answer);
    json_decref(answer);
    return status;
}

static int cert_forget(int argc, char **argv)
{
    struct forgetting f = {0};
    const struct cmd_flag flags[] = {
        {"socket", .text = &f.socket}, {"revoke", .on = &f.revoke}, {"json", .on = &f.json}};
    int status;
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (optind == argc)
        return cmd_misused("cert", "which name is to be forgotten?");
    for (int i = optind; i < argc; i++)
        if (hostname_check(argv[i], strlen(argv[i])) != HOSTNAME_OK)
            return cmd_misused("cert", "%s: expected a DNS name", argv[i]);
    status = CMD_OK;
    for (int i = optind; i < argc; i++)
        if (forget(&f, argv[i]) != CMD_OK)
            status = CMD_FAILED;
    return status;
}

int cmd_cert(int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*run)(int argc, char **argv);
    } forms[] = {{"ls", cert_ls},
                 {"swap", cert_swap},
                 {"forget", cert_forget},
                 {"stage", cert_stage},
                 {"test", cert_test},
                 {"promote", cert_promote},
                 {"rollback", cert_rollback},
                 {"disable", cert_disable}};
    const char *form = argc > 1 ? argv[1] : "";
    if (strcmp(form, "--help") == 0 || strcmp(form, "-h") == 0)
        return cmd_usage("cert", true);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(form, forms[i].word) == 0) {
            argv[1] = argv[0];
            return forms[i].run(argc - 1, argv + 1);
        }
    return cmd_misused(
        "cert",
        "expected 'ls', 'swap', 'forget', 'stage', 'test', 'promote', 'rollback' or 'disable', not '%s'",
        form);
}
