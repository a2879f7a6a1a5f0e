/* SPDX-License-Identifier: Apache-2.0 */
/* import/: what configurations of other programs become (tests/import), what is refused, and that no secret
 * comes through. CARDEA_UPDATE_GOLDEN=1 writes the expected files anew instead of comparing them. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/file.h"
#include "base/str.h"
#include "config/config.h"
#include "config/report.h"
#include "config/yaml.h"
#include "import/import.h"
#include "import/outline.h"

#define FILES "tests/import"
#define SECRET "hunter2"
#define WORDS_MAX 64

/* ---- The world ---- */

/* A text that stands for the file "text"; others are read from where they are. */
struct world {
    const char *text;
    size_t len;
};

static int world_read(void *arg, const char *path, struct buf *ret, struct err *err)
{
    const struct world *w = arg;
    if (w == NULL || strcmp(path, "text") != 0)
        return file_read(path, IMPORT_FILE_MAX, ret, NULL, err);
    assert_true(buf_append(ret, w->text, w->len));
    return 0;
}

static int world_list(void *arg, const char *path, struct buf *ret, struct err *err)
{
    struct dirent **entries;
    (void)arg;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return err_set(err, "%s: no such directory", path);
    for (int i = 0; i < n; i++) {
        if (*entries[i]->d_name != '.')
            buf_append(ret, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int world_pins(void *arg, const char *path, struct buf *ret, struct err *err)
{
    static const char pin[] = "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=";
    (void)arg;
    if (str_glob("*unreadable*", path))
        return err_set(err, "%s: no such file", path);
    assert_true(buf_append(ret, pin, sizeof(pin)));
    return 0;
}

static uint16_t world_port(void *arg, const char *service)
{
    (void)arg;
    return strcmp(service, "imaps") == 0 ? 993 : strcmp(service, "https") == 0 ? 443 : 0;
}

static struct import_files files_of(struct world *w)
{
    return (struct import_files){w, world_read, world_list, world_pins, world_port};
}

/* Import a text; ghostunnel's has an argument a line. */
static int import_text(const char *program, const char *text, size_t len, const char *path,
                       struct import_result *ret, struct err *err)
{
    struct world w = {text, len};
    struct import_files files = files_of(path == NULL ? &w : NULL);
    const struct import_program *p = import_find(program);
    assert_non_null(p);
    *ret = (struct import_result){0};
    err->text[0] = '\0';
    bool args = p->file == NULL || (p->args != NULL && len >= 2 && memcmp(text, "--", 2) == 0);
    if (!args)
        return p->file(path != NULL ? path : "text", &files, ret, err);
    char *copy = strndup(text, len), *rest = copy;
    const char *argv[WORDS_MAX];
    int argc = 0;
    for (char *word; argc < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;)
        if (*word != '\0')
            argv[argc++] = word;
    int rc = p->args(argc, argv, &files, ret, err);
    free(copy);
    return rc;
}

/* What came of it is YAML and JSON, and says no secret; or it is an error that says none. */
static void check_result(int rc, struct import_result *r, const struct err *err)
{
    assert_null(strstr(err->text, SECRET));
    if (rc < 0) {
        assert_true(err->text[0] != '\0');
        assert_int_equal(r->yaml.len + r->json.len, 0);
        return;
    }
    struct buf errors = {0};
    struct report report = {.file = "imported", .out = &errors};
    struct config_store *store = store_new();
    if (yaml_read(&report, store, r->yaml.data, r->yaml.len) == NULL)
        fail_msg("%s\n%s", buf_text(&errors), buf_text(&r->yaml));
    store_free(store);
    buf_free(&errors);
    json_t *json = json_loadb((const char *)r->json.data, r->json.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "without_equivalent")), r->missing);
    json_decref(json);
    assert_null(strstr(buf_text(&r->yaml), SECRET));
    assert_null(strstr(buf_text(&r->json), SECRET));
}

/* ---- Golden files ---- */

static void compare(const char *path, struct buf *got)
{
    struct buf expected = {0};
    struct err err;
    if (getenv("CARDEA_UPDATE_GOLDEN") != NULL) {
        assert_int_equal(file_write_atomic(path, 0644, got->data, got->len, &err), 0);
        return;
    }
    if (file_read(path, IMPORT_FILE_MAX, &expected, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(buf_text(got), buf_text(&expected));
    buf_free(&expected);
}

/* The door takes it, where any service was left. */
static void check_config(struct import_result *r)
{
    struct buf errors = {0};
    struct config *c = strstr(buf_text(&r->yaml), "\nroutes:\n") == NULL
                           ? NULL
                           : config_parse("imported", r->yaml.data, r->yaml.len, &errors);
    if (errors.len > 0)
        fail_msg("%s\n%s", buf_text(&errors), buf_text(&r->yaml));
    config_free(c);
    buf_free(&errors);
}

/* How often a text stands in another, wherever lines are broken. */
static size_t count_unbroken(struct buf *yaml, const char *text)
{
    char *words = calloc(1, yaml->len + 1), *to = words;
    size_t n = 0;
    assert_non_null(words);
    for (const char *p = buf_text(yaml); *p != '\0'; p++) {
        if (*p == '\n' && p[1 + strspn(p + 1, " ")] == '#')
            p += 1 + strspn(p + 1, " ");
        else
            *to++ = *p;
    }
    for (const char *p = words; (p = strstr(p, text)) != NULL; p++)
        n++;
    free(words);
    return n;
}

/* The summary counts what is shown, in comments and in the list. */
static void check_counts(struct import_result *r)
{
    json_t *json = json_loadb((const char *)r->json.data, r->json.len, 0, NULL), *remark;
    size_t needless = 0, missing = 0, i;
    json_array_foreach(json_object_get(json, "remarks"), i, remark)
    {
        const char *fate = json_string_value(json_object_get(remark, "fate"));
        needless += strcmp(fate, "not_needed") == 0;
        missing += strcmp(fate, "without_equivalent") == 0;
    }
    json_decref(json);
    assert_int_equal(r->needless, needless);
    assert_int_equal(r->missing, missing);
    assert_int_equal(r->needless, count_unbroken(&r->yaml, ": not needed: "));
    assert_int_equal(r->missing, count_unbroken(&r->yaml, ": no equivalent: "));
}

static void check_golden(const char *program, const char *path, const struct buf *text)
{
    char expected[512];
    struct import_result r;
    struct err err;
    int rc = import_text(program, (const char *)text->data, text->len, path, &r, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    check_result(rc, &r, &err);
    check_config(&r);
    check_counts(&r);
    snprintf(expected, sizeof(expected), "%.*s.yaml", (int)(strrchr(path, '.') - path), path);
    compare(expected, &r.yaml);
    import_result_free(&r);
}

/* Every beginning of it: an error or not, but no crash. */
static void check_beginnings(const char *program, const char *path, const struct buf *text)
{
    (void)path;
    for (size_t len = 0; len < text->len; len++) {
        struct import_result r;
        struct err err;
        char *copy = malloc(len > 0 ? len : 1); /* exact, so that a sanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, text->data, len);
        int rc = import_text(program, copy, len, NULL, &r, &err);
        free(copy);
        check_result(rc, &r, &err);
        import_result_free(&r);
    }
}

/* Each PROGRAM-NAME.conf, .cfg and .args. */
static void each_sample(void (*each)(const char *program, const char *path, const struct buf *text))
{
    unsigned n = 0;
    DIR *dir = opendir(FILES);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[512], program[32];
        struct buf text = {0};
        struct err err;
        if (!str_glob("*-*.conf", e->d_name) && !str_glob("*-*.cfg", e->d_name) &&
            !str_glob("*-*.args", e->d_name))
            continue;
        snprintf(path, sizeof(path), FILES "/%s", e->d_name);
        snprintf(program, sizeof(program), "%.*s", (int)strcspn(e->d_name, "-"), e->d_name);
        if (file_read(path, IMPORT_FILE_MAX, &text, NULL, &err) < 0)
            fail_msg("%s", err.text);
        each(program, path, &text);
        buf_free(&text);
        n++;
    }
    closedir(dir);
    assert_true(n >= 18);
}

static void test_golden(void **state)
{
    (void)state;
    each_sample(check_golden);
}

static void test_beginnings(void **state)
{
    (void)state;
    each_sample(check_beginnings);
}

/* ---- What is refused ---- */

#define SERVICE "[s]\naccept = 1\nconnect = 2\ncert = c\n"
#define SSLH(protocols) "listen: ( { host: \"*\"; port: \"1\"; } ); protocols: (" protocols ");"

static void test_hostile(void **state)
{
    static const struct {
        const char *program, *text, *error;
    } rows[] = {
        {"stunnel", "accept",
         "text:1:1: found a line without '=', expected OPTION = VALUE, [SERVICE] or ';'"},
        {"stunnel", "\n  [s", "text:2:3: found '[' without its name and ']', expected [SERVICE]"},
        {"stunnel", "[]", "text:1:1: found '[' without its name and ']', expected [SERVICE]"},
        {"stunnel", "acept = 1",
         "text:1:1: found 'acept', expected the name of an option; did you mean 'accept'?"},
        {"stunnel", "pass word hunter2 = 1",
         "text:1:1: found 'pass' and more, expected the name of an option; did you mean 'protocolPassword'?"},
        {"stunnel", "[s]\npid = /x", "text:2:1: found 'pid' within a service, where it has no meaning"},
        {"stunnel", "cert = a\nCert = b", "text:2:1: found 'cert' again, expected it once: see line 1"},
        {"stunnel",
         "cert = a\x01"
         "b",
         "text:1:1: found byte 0x01 in the value of 'cert', expected text in UTF-8"},
        {"stunnel", "cert = \xff",
         "text:1:1: found byte 0xff in the value of 'cert', expected text in UTF-8"},
        {"stunnel", "[s]\naccept = 1\nconnect = 2",
         "text:1:1: found service [s] without 'cert', expected the "
         "certificate of a server"},
        {"stunnel", "[s]\nconnect = 2\ncert = c",
         "text:1:1: found service [s] without 'accept', expected where it listens"},
        {"stunnel", "[s]\naccept = 1\ncert = c",
         "text:1:1: found service [s] without a place to lead to, expected "
         "'connect' or 'exec'"},
        {"stunnel", SERVICE "verify = 5", "text:5:1: found '5' for 'verify', expected a number from 0 to 4"},
        {"stunnel", SERVICE "client = maybe", "text:5:1: found 'maybe' for 'client', expected yes or no"},
        {"stunnel", SERVICE "protocol = gopher",
         "text:5:1: found protocol 'gopher', expected one of stunnel(8)"},
        {"stunnel", SERVICE "sslVersion = TLSv9",
         "text:5:1: found 'TLSv9' for 'sslVersion', expected all, TLSv1.2 or "
         "another version"},
        {"stunnel", SERVICE "TIMEOUTidle = -1",
         "text:5:1: found '-1' for 'TIMEOUTidle', expected a number from 0 to "
         "31536000"},
        {"stunnel", SERVICE "verifyChain = yes",
         "text:1:1: found service [s] that verifies its peer by no CA, expected "
         "'CAfile' or 'CApath'"},
        {"stunnel", SERVICE "sni = t:a.example.com",
         "text:5:1: found 'sni' without a service above that it names, "
         "expected SERVICE:PATTERN"},
        {"stunnel", "include = /nowhere", "text:1:1: found 'include', but /nowhere: no such directory"},
        {"hitch", "pem-file", "text:1:9: found the end, expected '='"},
        {"hitch", "pem-file = ", "text:1:12: found the end, expected a value"},
        {"hitch", "pem-file = \"hunter2",
         "text:1:12: found a string without its end, expected '\"' on the same line"},
        {"hitch", "\"hunter2\" = 1", "text:1:1: found a string, expected the name of an option"},
        {"hitch", "frontend = { port = \"1\"", "text:1:24: found the end, expected the name of an option"},
        {"hitch", "frontend = { frontend = { } }",
         "text:1:14: found 'frontend' in a frontend, where it has no meaning"},
        {"hitch", "pem-file = { pem-file = { } }",
         "text:1:14: found 'pem-file' in a pem-file, where it has no meaning"},
        {"hitch", "pem-file = { }",
         "text:1:1: found a pem-file without 'cert', expected the file of a certificate"},
        {"hitch", "frontend = { }",
         "text:1:1: found a frontend without 'port', expected the port that it listens on"},
        {"hitch", "frontend = \"*:443\"", "text:1:1: found '*:443' for 'frontend', expected \"[HOST]:PORT\""},
        {"hitch", "frontend = \"[*]:0\"",
         "text:1:1: found port '0', expected a number from 1 to 65535 or a name of "
         "services(5)"},
        {"hitch", "backend = \"[::1]:99999\"",
         "text:1:1: found port '99999', expected a number from 1 to 65535 or a "
         "name of services(5)"},
        {"hitch", "workers = 1\nworkers = 2",
         "text:2:1: found 'workers' again, expected it once: see line 1"},
        {"hitch", "client-verify = required",
         "text:1:1: found 'client-verify' without 'client-verify-ca', expected "
         "who issues the certificates of clients"},
        {"hitch", "client-verify = never",
         "text:1:1: found 'never' for 'client-verify', expected none, optional or "
         "required"},
        {"hitch", "tls-protos = ALL",
         "text:1:1: found 'ALL' for 'tls-protos', expected TLSv1.2 and the like"},
        {"hitch", "\x01", "text:1:1: found byte 0x01, expected text"},
        {"hitch", "write-ip = perhaps", "text:1:1: found 'perhaps' for 'write-ip', expected on or off"},
        {"sslh", "", "text:1:1: found no 'listen', expected a list of { host: \"...\"; port: \"...\"; }"},
        {"sslh", "listen: 1;",
         "text:1:1: found a single value for 'listen', expected a list of groups: ( { ... }, ... )"},
        {"sslh", "listen: ( 1 );", "text:1:11: found a single value, expected a group: { name: value; ... }"},
        {"sslh", "/* never", "text:1:1: found a comment without its end, expected */"},
        {"sslh", "@include \"x\"",
         "text:1:1: found '@', expected a setting: put what is included into this file"},
        {"sslh", "--numeric\n-fx", "sslh:1:2: found '-fx', expected an option of sslh(8)"},
        {"sslh", "--numeric\n-fvt", "sslh:1:2: found '--timeout' at the end, expected its value"},
        {"sslh", "--numeric\n-", "sslh:1:2: found '-', expected an option of sslh(8)"},
        {"sslh", "--numeric\n-F/etc/sslh.cfg",
         "sslh:1:2: found '-F/etc/sslh.cfg', expected an option of sslh(8); import the file alone"},
        {"sslh", "--foreground\n-nb", "sslh:1:2: found 'foreground' again, expected it once: see line 1"},
        {"sslh", "verbose 1", "text:1:9: found '1', expected ':' or '='"},
        {"sslh", "user: [ [ 1 ] ]", "text:1:9: found an array in an array, expected a single value"},
        {"sslh", "user: \"a\\q\"",
         "text:1:10: found an escape in a string that is none of libconfig's, expected \\\\, "
         "\\\", \\n, \\r, \\t, \\f or \\xHH"},
        {"sslh", "a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: {l: {m: {n: {o: {p: {q: 1",
         "text:1:68: found more than 16 values within each other, expected fewer"},
        {"sslh", "user: \"a\"; user: \"b\";", "text:1:12: found 'user' again, expected it once: see line 1"},
        {"sslh", "usr: \"a\"; " SSLH(""),
         "text:1:1: found 'usr', expected the name of an option; did you mean 'user'?"},
        {"sslh", SSLH("{ name: \"ssh\"; }"),
         "text:1:52: found a protocol without 'host', expected 'name', 'host' and "
         "'port'"},
        {"sslh", SSLH("{ name: \"gopher\"; host: \"x\"; port: \"1\"; }"),
         "text:1:54: found protocol 'gopher', expected tls, ssh, http or another of sslh(8)"},
        {"sslh", SSLH("{ name: \"ssh\"; host: \"x\"; port: \"1\"; is_unix: 7; }"),
         "text:1:89: found '7' for 'is_unix', expected true or false"},
        {"ghostunnel", "",
         "ghostunnel:1:1: found neither 'server' nor 'client', expected one of them among the "
         "arguments"},
        {"ghostunnel", "server", "ghostunnel:1:1: found no '--listen', expected it"},
        {"ghostunnel", "server\nhunter2",
         "ghostunnel:1:2: found an argument that is no flag, expected --FLAG or "
         "--FLAG=VALUE"},
        {"ghostunnel", "server\n--lisen=x",
         "ghostunnel:1:2: found 'lisen', expected the name of an option; did you "
         "mean 'listen'?"},
        {"ghostunnel", "server\n--listen", "ghostunnel:1:2: found '--listen' at the end, expected its value"},
        {"ghostunnel", "client\n--allow-cn\nx",
         "ghostunnel:1:2: found 'allow-cn' with client, where it has no meaning"},
        {"ghostunnel", "server\n--listen=x\n--target=y:1",
         "ghostunnel:1:2: found 'x' for '--listen', expected HOST:PORT, "
         "unix:PATH or systemd:NAME"},
        {"ghostunnel", "server\n--listen=:0\n--target=y:1",
         "ghostunnel:1:2: found ':0' for '--listen', expected a port "
         "from 1 to 65535"},
        {"ghostunnel", "server\n--listen=:1\n--target=y:1\n--cert=c",
         "ghostunnel:1:1: found no '--allow-' flag, expected "
         "one, or --disable-authentication"},
        {"ghostunnel", "client\n--listen=:1\n--target=y:1\n--connect-timeout=5",
         "ghostunnel:1:4: found '5' for "
         "'--connect-timeout', expected a "
         "duration such as 300s or 1h30m"},
        {"ghostunnel", "client\n--listen=:1\n--target=y:1\n--max-tls-version=SSL3",
         "ghostunnel:1:4: found 'SSL3' for '--max-tls-version', expected TLS1.2 or TLS1.3"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct import_result r;
        struct err err;
        int rc = import_text(rows[i].program, rows[i].text, strlen(rows[i].text), NULL, &r, &err);
        check_result(rc, &r, &err);
        import_result_free(&r);
        assert_string_equal(err.text, rows[i].error);
        assert_int_equal(rc, -1);
    }
}

static void test_bounds(void **state)
{
    struct buf text = {0};
    struct import_result r;
    struct err err;
    (void)state;
    for (int i = 0; i < 6000; i++)
        buf_printf(&text, "connect = %d\n", i);
    assert_int_equal(import_text("stunnel", (char *)text.data, text.len, NULL, &r, &err), -1);
    assert_string_equal(err.text, "text:5001:1: found more than 5000 settings, expected fewer");
    text.len = 0;
    for (int i = 0; i < 20000; i++)
        buf_append(&text, "x", 1);
    assert_int_equal(import_text("stunnel", (char *)text.data, text.len, NULL, &r, &err), -1);
    assert_string_equal(err.text, "text:1:1: found a line of 20000 bytes, expected text of at most 16384");
    assert_int_equal(import_text("stunnel", "a\0b", 3, NULL, &r, &err), -1);
    assert_string_equal(err.text,
                        "text:1:1: found a line of 3 bytes with a NUL, expected text of at most 16384");
    buf_free(&text);
}

/* ---- Every option of the tables ---- */

#define BOTH 3u
#define GLOBAL 1u
#define FRONTEND 2u
#define PEM 0u
#define MANY 0u
#define SERVER 1u
#define CLIENT 2u
#define FLAG 0x200u
#define LISTEN 2u
#define PROTOCOL 4u
struct row {
    const char *name;
    unsigned flags;
    const char *text;
};
#define TAKEN(name, flags)
#define NEEDLESS(name, flags, why) {name, flags, why},
#define MISSING(name, flags, instead) {name, flags, instead},
static const struct row stunnel_rows[] = {
#include "tables/import_stunnel.def"
};
static const struct row hitch_rows[] = {
#include "tables/import_hitch.def"
};
static const struct row ghostunnel_rows[] = {
#include "tables/import_ghostunnel.def"
};
static const struct row sslh_rows[] = {
#include "tables/import_sslh.def"
};
#undef TAKEN
#undef NEEDLESS
#undef MISSING

/* The row says what becomes of it, once, and its value stays untold. */
static void check_row(const char *program, const struct row *row, const char *text)
{
    struct import_result r;
    struct err err;
    int rc = import_text(program, text, strlen(text), NULL, &r, &err);
    if (rc < 0)
        fail_msg("%s: %s", row->name, err.text);
    check_result(rc, &r, &err);
    json_t *json = json_loadb((const char *)r.json.data, r.json.len, 0, NULL), *remark;
    size_t i, found = 0;
    json_array_foreach(json_object_get(json, "remarks"), i, remark) found +=
        strcmp(json_string_value(json_object_get(remark, "option")), row->name) == 0 &&
        strcmp(json_string_value(json_object_get(remark, "remark")), row->text) == 0;
    assert_int_equal(found, 1);
    json_decref(json);
    import_result_free(&r);
}

static void test_every_option_of_stunnel(void **state)
{
    char text[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stunnel_rows); i++) {
        snprintf(text, sizeof(text), "%s = " SECRET "\n" SERVICE, stunnel_rows[i].name);
        check_row("stunnel", &stunnel_rows[i], text);
        snprintf(text, sizeof(text), SERVICE "%s = " SECRET, stunnel_rows[i].name);
        if (stunnel_rows[i].flags == BOTH)
            check_row("stunnel", &stunnel_rows[i], text);
    }
}

static void test_every_option_of_hitch(void **state)
{
    char text[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hitch_rows); i++) {
        bool pem = hitch_rows[i].flags == PEM;
        snprintf(text, sizeof(text), "%s%s = \"" SECRET "\"%s", pem ? "pem-file = { cert = c " : "",
                 hitch_rows[i].name, pem ? " }" : "");
        check_row("hitch", &hitch_rows[i], text);
    }
}

static void test_every_option_of_ghostunnel(void **state)
{
    char text[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ghostunnel_rows); i++) {
        const struct row *row = &ghostunnel_rows[i];
        snprintf(text, sizeof(text), "%s\n--listen=:1\n--target=:2\n%s--%s%s",
                 row->flags & SERVER ? "server" : "client", row->flags & SERVER ? "--allow-all\n" : "",
                 row->name, row->flags & FLAG ? "" : "=" SECRET);
        check_row("ghostunnel", row, text);
    }
}

static void test_every_setting_of_sslh(void **state)
{
    char text[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sslh_rows); i++) {
        const struct row *row = &sslh_rows[i];
        char setting[128];
        snprintf(setting, sizeof(setting), "%s: \"" SECRET "\";", row->name);
        snprintf(text, sizeof(text),
                 "%s listen: ( { host: \"*\"; port: \"1\"; %s } ); protocols: ( { name: \"ssh\"; host: "
                 "\"h\"; port: "
                 "\"1\"; %s } );",
                 row->flags == GLOBAL ? setting : "", row->flags == LISTEN ? setting : "",
                 row->flags & PROTOCOL ? setting : "");
        check_row("sslh", row, text);
    }
}

/* ---- YAML ---- */

static void test_outline(void **state)
{
    struct pool pool = {0};
    struct buf out = {0};
    struct node *root = outline_new(&pool), *list = outline_list(root, "list"), *item = outline_item(list);
    (void)state;
    outline_remark(outline_map(root, "empty"), "about nothing");
    outline_set(item, "text", "yes");
    outline_set(item, "more", "a \"b\": #c");
    outline_remark(outline_find(item, "text"), "one\ntwo \x1b[31m \xff \xc2\x85");
    outline_remark(outline_item(list), "no item");
    outline_add(outline_list(item, "words"), "0x10");
    outline_add(outline_list(item, "words"), "0x10");
    outline_add(outline_list(item, "words"), "010");
    outline_list(item, "none");
    outline_print(&out, root);
    assert_string_equal(buf_text(&out), "list:\n"
                                        "  # one?two ?[31m ? ??\n"
                                        "  - text: \"yes\"\n"
                                        "    more: \"a \\\"b\\\": #c\"\n"
                                        "    words: [\"0x10\", 010]\n"
                                        "  # no item\n"
                                        "# about nothing\n");
    buf_free(&out);
    pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_every_option_of_stunnel),
        cmocka_unit_test(test_every_option_of_hitch),
        cmocka_unit_test(test_every_option_of_ghostunnel),
        cmocka_unit_test(test_every_setting_of_sslh),
        cmocka_unit_test(test_outline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
