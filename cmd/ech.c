/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ech`: the keys by which the running door decrypts ClientHellos, and the DNS records that tell
 * clients of them. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/table.h"
#include "dns/rdata.h"

#define ASK_NS (10 * NSEC_PER_SEC)
#define PUSH_NS (120 * NSEC_PER_SEC) /* that pushing may take */
#define PAUSE_NS (NSEC_PER_SEC / 5)
#define TTL_DEFAULT 300
#define TTL_MAX 86400

/* What stands in a zone file without quoting; no protocol that is registered has others. */
#define ALPN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/+,"

/* What to do about a record that is published no more. */
#define LEFT_WITH_WAY "its key is kept: put it back into 'ech.publish.names', or 'cardea ech withdraw' it"
#define LEFT_WITHOUT_WAY "its key is kept: put 'ech.publish.dns' back, and then 'cardea ech withdraw' it"

struct flags {
    const char *socket;
    const char *alpn;
    uint64_t ttl;
    bool json;
};

/* What the door says of its keys; the caller's. NULL: it was said why. */
static json_t *ask(const struct flags *f)
{
    struct err err;
    json_t *answer;
    int code = admin_ask(f->socket, "GET", "/ech", ASK_NS, &answer, &err);
    if (code < 0) {
        cmd_failed("%s", err.text);
        return NULL;
    }
    json_t *ech = json_incref(json_object_get(answer, "ech"));
    json_decref(answer);
    if (code == 200 && json_is_object(ech))
        return ech;
    json_decref(ech);
    if (code == 200)
        cmd_failed("the door decrypts no ClientHello: its configuration has no section 'ech'");
    else
        cmd_failed("the door answered %d to /ech: is it another version?", code);
    return NULL;
}

static const char *opens_until(const json_t *key)
{
    return json_is_null(json_object_get(key, "opens_until")) ? "a record may hold it"
                                                             : table_text(key, "opens_until");
}

static void print_keys(const json_t *ech)
{
    static const char *const heads[] = {"KEY",       "OFFERED", "FROM",       "UNTIL",
                                        "PUBLISHED", "RECORDS", "OPENS UNTIL"};
    struct table t = {.columns = sizeof(heads) / sizeof(heads[0])};
    const json_t *key;
    size_t i;
    for (i = 0; i < t.columns; i++)
        table_add(&t, "%s", heads[i]);
    json_array_foreach(json_object_get(ech, "keys"), i, key)
    {
        table_add(&t, "%lld", (long long)json_integer_value(json_object_get(key, "id")));
        table_add(&t, json_is_true(json_object_get(key, "offered")) ? "yes" : "-");
        table_add(&t, "%s", table_text(key, "from"));
        table_add(&t, "%s", table_text(key, "until"));
        table_add(&t, "%s", table_text(key, "published"));
        table_add(&t, "%lld", (long long)json_integer_value(json_object_get(key, "records")));
        table_add(&t, "%s", opens_until(key));
    }
    table_end(&t, stdout);
}

/* Records that were published once, and are not any more. */
static void print_left(const json_t *ech)
{
    struct table t = {.columns = 2};
    const json_t *name, *names = json_object_get(ech, "left");
    size_t i;
    if (json_array_size(names) == 0)
        return;
    table_add(&t, "LEFT RECORD");
    table_add(&t, "STATE");
    json_array_foreach(names, i, name)
    {
        table_add(&t, "%s", json_string_value(name));
        table_add(&t, json_is_true(json_object_get(ech, "publishes")) ? LEFT_WITH_WAY : LEFT_WITHOUT_WAY);
    }
    table_end(&t, stdout);
}

/* The records that are published; how many of them could not be pushed the last time. */
static size_t print_records(const json_t *ech)
{
    struct table t = {.columns = 2};
    const json_t *name, *names = json_object_get(ech, "names");
    size_t i, failed = 0;
    if (json_array_size(names) == 0)
        return 0;
    table_add(&t, "RECORD");
    table_add(&t, "STATE");
    json_array_foreach(names, i, name)
    {
        const char *error = json_string_value(json_object_get(name, "error"));
        bool bad = error != NULL && *error != '\0';
        failed += bad;
        table_add(&t, "%s", table_text(name, "name"));
        table_add(&t, "%s",
                  bad                                              ? error
                  : json_is_true(json_object_get(name, "current")) ? "current"
                                                                   : "is being pushed");
    }
    table_end(&t, stdout);
    return failed;
}

static int list(const struct flags *f)
{
    json_t *ech = ask(f);
    if (ech == NULL)
        return CMD_FAILED;
    if (f->json) {
        cmd_print_json(ech);
    } else {
        printf("public name: %s\n", json_string_value(json_object_get(ech, "public_name")));
        print_keys(ech);
        print_records(ech);
        print_left(ech);
    }
    json_decref(ech);
    return CMD_OK;
}

/* Have the door do something; its answer, the caller's. NULL: it was said why not. */
static json_t *order(const struct flags *f, const char *path)
{
    struct err err;
    json_t *answer;
    int code = admin_ask(f->socket, "POST", path, PUSH_NS, &answer, &err);
    if (code == 200)
        return answer;
    if (code < 0)
        cmd_failed("%s", err.text);
    else if (code == 409)
        cmd_failed("%s", json_string_value(json_object_get(answer, "error")));
    else
        cmd_failed("the door answered %d to %s: is it another version?", code, path);
    if (code >= 0)
        json_decref(answer);
    return NULL;
}

/* What became of a push, once it is over; the caller's. NULL: it was said why. */
static json_t *wait_for_push(const struct flags *f, json_int_t number)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (int64_t waited = 0; waited < PUSH_NS; waited += PAUSE_NS) {
        json_t *ech = ask(f);
        if (ech == NULL || json_integer_value(json_object_get(ech, "hurried")) >= number)
            return ech;
        json_decref(ech);
        nanosleep(&pause, NULL);
    }
    cmd_failed("it takes long: see 'cardea ech ls'; does another door that shares the keys push?");
    return NULL;
}

static int push(const struct flags *f)
{
    json_t *answer = order(f, "/ech/publish");
    if (answer == NULL)
        return CMD_FAILED;
    json_t *ech = wait_for_push(f, json_integer_value(json_object_get(answer, "hurried")));
    json_decref(answer);
    if (ech != NULL && json_array_size(json_object_get(ech, "names")) == 0) {
        json_decref(ech);
        return cmd_failed(
            "nothing was pushed: the configuration has changed meanwhile, and publishes nothing");
    }
    if (ech == NULL)
        return CMD_FAILED;
    size_t failed = 0;
    const json_t *name;
    size_t i;
    if (f->json) {
        cmd_print_json(json_object_get(ech, "names"));
        json_array_foreach(json_object_get(ech, "names"), i, name) failed +=
            json_string_length(json_object_get(name, "error")) > 0;
    } else {
        failed = print_records(ech);
    }
    json_decref(ech);
    return failed == 0 ? CMD_OK : CMD_FAILED;
}

/* Are all of them host names? If not it was said which is not. */
static int check_names(char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        enum hostname_fault fault =
            hostname_check(names[i], len > 1 && names[i][len - 1] == '.' ? len - 1 : len);
        if (fault != HOSTNAME_OK)
            return cmd_misused("ech", "'%s' is no host name: %s", names[i], hostname_fault_text(fault));
    }
    return CMD_OK;
}

/* That resource of the door, of one name. */
static void put_path(char *ret, size_t cap, const char *resource, const char *name)
{
    size_t len = strlen(name);
    int dot = name[len - 1] == '.';
    snprintf(ret, cap, "%s?name=%.*s", resource, (int)len - dot, name);
    str_lower(ret, strlen(ret));
}

static int withdraw(const struct flags *f, char *const *names, int n)
{
    char path[sizeof("/ech/withdraw?name=") + HOSTNAME_MAX];
    if (n == 0)
        return cmd_misused("ech", "for which names? Give those whose records are to go");
    if (check_names(names, n) != CMD_OK)
        return CMD_USAGE;
    for (int i = 0; i < n; i++) {
        put_path(path, sizeof(path), "/ech/withdraw", names[i]);
        json_t *answer = order(f, path);
        if (answer == NULL)
            return CMD_FAILED;
        json_decref(answer);
    }
    return CMD_OK;
}

/* Does the running door have a route for the name? Clients come with it once there is a record. */
static void warn_of_name(const struct flags *f, const char *name)
{
    char path[sizeof("/ech?name=") + HOSTNAME_MAX + 1];
    json_t *answer = NULL;
    struct err err;
    put_path(path, sizeof(path), "/ech", name);
    if (admin_ask(f->socket, "GET", path, ASK_NS, &answer, &err) == 200 &&
        json_is_false(json_object_get(json_object_get(answer, "ech"), "routed")))
        fprintf(stderr,
                "cardea: warning: %s: no route of the door is for this name: clients that come by the record "
                "will be turned away\n",
                name);
    json_decref(answer);
}

/* A record in the form of a zone file (RFC 9460, 2.1; RFC 9848). */
static void print_record(const struct flags *f, const char *name, const char *config)
{
    size_t len = strlen(name);
    const char *dot = len > 0 && name[len - 1] == '.' ? "" : ".";
    struct buf record = {0};
    if (f->json) {
        json_t *row = json_pack("{s:s, s:I, s:s, s:s}", "name", name, "ttl", (json_int_t)f->ttl, "alpn",
                                f->alpn, "ech", config);
        cmd_print_json(row);
        json_decref(row);
        return;
    }
    dns_rdata_https_text(&record, f->alpn, config);
    printf("%s%s %llu IN HTTPS %s\n", name, dot, (unsigned long long)f->ttl, buf_text(&record));
    buf_free(&record);
}

static int publish(const struct flags *f, char *const *names, int n)
{
    if (n == 0)
        return push(f);
    if (check_names(names, n) != CMD_OK)
        return CMD_USAGE;
    json_t *ech = ask(f);
    if (ech == NULL)
        return CMD_FAILED;
    json_int_t keep = json_integer_value(json_object_get(ech, "keep"));
    if ((json_int_t)f->ttl > keep)
        fprintf(stderr,
                "cardea: warning: old keys open for %lld s (ech.keep), and a record may be kept for %llu: "
                "give a --ttl that is not longer, or raise 'keep'\n",
                (long long)keep, (unsigned long long)f->ttl);
    for (int i = 0; i < n; i++) {
        warn_of_name(f, names[i]);
        print_record(f, names[i], json_string_value(json_object_get(ech, "config")));
    }
    json_decref(ech);
    return CMD_OK;
}

/* In whole seconds, as records have it. */
static bool read_ttl(const char *text, uint64_t *ret)
{
    int64_t time;
    if (str_u64(text, TTL_MAX, ret))
        return true;
    if (!unit_parse(text, unit_durations, &time) || time % NSEC_PER_SEC != 0 || time / NSEC_PER_SEC > TTL_MAX)
        return false;
    *ret = (uint64_t)(time / NSEC_PER_SEC);
    return true;
}

int cmd_ech(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
        {"alpn", required_argument, NULL, 'a'},   {"ttl", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct flags f = {.alpn = "", .ttl = TTL_DEFAULT};
    for (int c; (c = cmd_option(argc, argv, "h", options)) != -1;) {
        if (c == 's')
            f.socket = optarg;
        else if (c == 'j')
            f.json = true;
        else if (c == 'a' && optarg[strspn(optarg, ALPN_CHARACTERS)] != '\0')
            return cmd_misused(
                "ech", "--alpn: found '%s', expected protocols apart by ',', such as h2,http/1.1", optarg);
        else if (c == 'a')
            f.alpn = optarg;
        else if (c != 't')
            return cmd_usage("ech", c == 'h');
        else if (!read_ttl(optarg, &f.ttl))
            return cmd_misused("ech",
                               "--ttl: found '%s', expected a time such as 5m or 1h, or seconds; at most %d",
                               optarg, TTL_MAX);
    }
    const char *form = optind < argc ? argv[optind] : "ls";
    if (strcmp(form, "publish") == 0)
        return publish(&f, argv + optind + 1, argc - optind - 1);
    if (strcmp(form, "withdraw") == 0)
        return withdraw(&f, argv + optind + 1, argc - optind - 1);
    if (strcmp(form, "ls") == 0 && optind + 1 >= argc)
        return list(&f);
    return cmd_misused("ech", "%s: expected ls, publish, publish NAME... or withdraw NAME...", form);
}
