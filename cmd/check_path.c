/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_path.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "cert/trust.h"
#include "cmd/cmd.h"

#define OF_SERVERS 256 /* and up: options that check has without --verify */

struct options {
    struct check_path_case asked;
    bool json;
};

bool check_path_is_asked(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--verify") == 0 || strncmp(argv[i], "--verify=", strlen("--verify=")) == 0)
            return true;
    return false;
}

bool check_path_purpose(const char *word, enum trust_purpose *ret)
{
    *ret = strcmp(word, "client") == 0 ? TRUST_CLIENT : TRUST_SERVER;
    return *ret == TRUST_CLIENT || strcmp(word, "server") == 0;
}

bool check_path_time(const char *text, int64_t *ret)
{
    uint64_t seconds;
    struct tm tm = {0};
    if (str_u64(text, INT64_MAX, &seconds)) {
        *ret = (int64_t)seconds;
        return true;
    }
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && *end == 'T') {
        end = strptime(end, "T%H:%M:%S", &tm);
        end = end != NULL && *end == 'Z' ? end + 1 : NULL;
    }
    *ret = end != NULL && *end == '\0' ? (int64_t)timegm(&tm) : 0;
    return end != NULL && *end == '\0';
}

int check_path_verify(const struct check_path_case *c, struct path_report *ret, struct err *err)
{
    struct buf pem = {0};
    *ret = (struct path_report){0};
    struct trust *trust =
        trust_load(&(struct trust_files){.name = c->roots, .ca = &c->roots, .ca_len = 1}, err);
    int rc = trust == NULL ? -1 : file_read(c->chain, TRUST_FILE_MAX, &pem, NULL, err);
    if (rc == 0)
        path_report_make(
            &(struct path_report_question){
                .trust = trust, .chain = &pem, .purpose = c->purpose, .host = c->name, .now = c->at},
            ret);
    buf_free(&pem);
    trust_unref(trust);
    return rc;
}

/* A chain that would be accepted, if it were asked for what it is for. */
static void put_purpose_hint(const struct check_path_case *asked, struct buf *out)
{
    struct check_path_case other = *asked;
    struct path_report report;
    struct err err;
    other.purpose = asked->purpose == TRUST_SERVER ? TRUST_CLIENT : TRUST_SERVER;
    const char *word = other.purpose == TRUST_CLIENT ? "client" : "server";
    if (check_path_verify(&other, &report, &err) == 0 && report.accepted)
        buf_printf(out, "as that of a %s it is accepted: --purpose %s\n", word, word);
    path_report_free(&report);
}

static int verify_one(const struct options *o)
{
    struct path_report report;
    struct buf out = {0};
    struct err err;
    int status = CMD_FAILED;
    if (check_path_verify(&o->asked, &report, &err) < 0) {
        status = cmd_failed("%s", err.text);
    } else {
        (o->json ? check_path_json : check_path_text)(&out, &o->asked, &report);
        if (!o->json && !report.accepted)
            put_purpose_hint(&o->asked, &out);
        fwrite(out.data, 1, out.len, stdout);
        status = report.accepted ? CMD_OK : CMD_FAILED;
    }
    buf_free(&out);
    path_report_free(&report);
    return status;
}

static const struct option options[] = {
    {"verify", required_argument, NULL, 'v'},
    {"roots", required_argument, NULL, 'r'},
    {"name", required_argument, NULL, 'n'},
    {"at", required_argument, NULL, 'a'},
    {"purpose", required_argument, NULL, 'p'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    /* of servers: see of_servers() */
    {"ca", required_argument, NULL, OF_SERVERS},
    {"starttls", required_argument, NULL, OF_SERVERS + 1},
    {"chat", required_argument, NULL, OF_SERVERS + 2},
    {"cert", required_argument, NULL, OF_SERVERS + 3},
    {"key", required_argument, NULL, OF_SERVERS + 4},
    {"alpn", required_argument, NULL, OF_SERVERS + 5},
    {"timeout", required_argument, NULL, OF_SERVERS + 6},
    {"question-timeout", required_argument, NULL, OF_SERVERS + 7},
    {"survey-timeout", required_argument, NULL, OF_SERVERS + 8},
    {"quick", no_argument, NULL, OF_SERVERS + 9},
    {"fail-below", required_argument, NULL, OF_SERVERS + 10},
    {"accept", required_argument, NULL, OF_SERVERS + 11},
    {"expect", required_argument, NULL, OF_SERVERS + 12},
    {"doh", required_argument, NULL, OF_SERVERS + 13},
    {"doh-ca", required_argument, NULL, OF_SERVERS + 14},
    {"dns", required_argument, NULL, OF_SERVERS + 15},
    {"ech", required_argument, NULL, OF_SERVERS + 16},
    {"quic", no_argument, NULL, OF_SERVERS + 17},
    {"quic-alpn", required_argument, NULL, OF_SERVERS + 18},
    {0},
};

static int of_servers(int option)
{
    const struct option *o = options;
    while (o->val != option)
        o++;
    return cmd_misused("check",
                       "--%s and --verify do not go together: --verify reads a file, and asks no server%s",
                       o->name, option == OF_SERVERS ? "; what it is to believe is --roots" : "");
}

/* One option. Returns -1, or an exit status. */
static int take(struct options *o, int option)
{
    switch (option) {
    case 'v':
        o->asked.chain = optarg;
        return -1;
    case 'r':
        o->asked.roots = optarg;
        return -1;
    case 'n':
        o->asked.name = optarg;
        return -1;
    case 'p':
        if (check_path_purpose(optarg, &o->asked.purpose))
            return -1;
        return cmd_misused("check", "--purpose %s: expected server or client", optarg);
    case 'a':
        if (check_path_time(optarg, &o->asked.at))
            return -1;
        return cmd_misused("check",
                           "--at %s: expected a time in UTC such as 2026-11-28 or 2026-11-28T12:00:00Z, or "
                           "seconds since 1970",
                           optarg);
    case 'j':
        o->json = true;
        return -1;
    default:
        return option >= OF_SERVERS ? of_servers(option) : cmd_usage("check", option == 'h');
    }
}

int check_path(int argc, char **argv)
{
    struct options o = {.asked = {.purpose = TRUST_SERVER, .at = time(NULL)}};
    struct stat st;
    int status = -1;
    for (int opt; status < 0 && (opt = cmd_option(argc, argv, "h", options)) != -1;)
        status = take(&o, opt);
    if (status >= 0)
        return status;
    if (optind < argc)
        return cmd_misused("check", "'%s': --verify reads a file, and asks no server", argv[optind]);
    if (stat(o.asked.chain, &st) == 0 && S_ISDIR(st.st_mode))
        return check_path_cases(o.asked.chain, &o.asked, o.json);
    if (o.asked.roots == NULL)
        return cmd_misused("check", "--roots is missing: the certificates that are believed, PEM, or system");
    return verify_one(&o);
}
