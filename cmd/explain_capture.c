/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_capture.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/unit.h"
#include "capture/capture.h"
#include "capture/library.h"
#include "capture/packet.h"
#include "cmd/cmd.h"
#include "cmd/explain_sighting.h"
#include "cmd/explain_summary.h"

struct options {
    bool summary;
    bool json;
    struct explain_woulds woulds;
    struct capture_limits limits;
};

struct reading {
    const struct options *options;
    struct explain_summary *summary;
};

static void on_seen(void *owner, const struct sighting *seen)
{
    struct reading *r = owner;
    struct explain_sighting s = explain_sighting_of(seen, &r->options->woulds);
    explain_summary_add(r->summary, &s);
    if (r->options->summary)
        return;
    if (r->options->json)
        explain_sighting_json(&s);
    else
        explain_sighting_text(&s);
}

/* ---- options ---- */

static int read_size(const char *option, const char *text, size_t least, size_t *ret)
{
    int64_t size;
    if (text == NULL)
        return CMD_OK;
    if (!unit_parse(text, unit_sizes, &size) || size < (int64_t)least || size > (int64_t)CAPTURE_MAX) {
        char low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
        return cmd_misused("explain", "--%s: found '%s', expected a size from %s to %s", option, text,
                           unit_format((int64_t)least, unit_sizes, low),
                           unit_format(CAPTURE_MAX, unit_sizes, high));
    }
    *ret = (size_t)size;
    return CMD_OK;
}

static int add_would(struct explain_woulds *w, const char *text)
{
    struct err err;
    if (strcmp(text, "all") == 0) {
        int status = add_would(w, "min_version=1.3");
        return status == CMD_OK ? add_would(w, "pq=require") : status;
    }
    if (w->count == EXPLAIN_WOULDS_MAX)
        return cmd_misused("explain", "more than %d times --would", EXPLAIN_WOULDS_MAX);
    if (would_parse(text, &w->v[w->count], &err) != 0)
        return cmd_misused("explain", "--would: %s, or all", err.text);
    w->text[w->count++] = text;
    return CMD_OK;
}

/* False: end with *ret_status. */
static bool read_options(int argc, char **argv, struct options *o, int *ret_status)
{
    const char *flow = NULL, *memory = NULL, *woulds[EXPLAIN_WOULDS_MAX];
    size_t count = 0;
    const struct cmd_flag flags[] = {
        {.name = "summary", .on = &o->summary},
        {.name = "json", .on = &o->json},
        {.name = "would", .text = woulds, .count = &count, .most = ARRAY_LEN(woulds)},
        {.name = "max-flow", .text = &flow},
        {.name = "max-memory", .text = &memory},
    };
    if (!cmd_flags("explain", argc, argv, flags, ARRAY_LEN(flags), ret_status))
        return false;
    *ret_status = CMD_OK;
    for (size_t i = 0; i < count && *ret_status == CMD_OK; i++)
        *ret_status = add_would(&o->woulds, woulds[i]);
    if (*ret_status == CMD_OK)
        *ret_status = read_size("max-flow", flow, CAPTURE_FLOW_MIN, &o->limits.flow);
    if (*ret_status == CMD_OK)
        *ret_status = read_size("max-memory", memory, CAPTURE_TOTAL_MIN, &o->limits.total);
    return *ret_status == CMD_OK;
}

/* ---- the file ---- */

/* What the hellos cannot tell: why there may be fewer than expected. */
static void warn(const struct capture_counts *n)
{
    if (n->cut > 0)
        fprintf(stderr,
                "cardea: warning: %" PRIu64 " of %" PRIu64
                " frames were cut off when they were captured: capture with a larger "
                "snapshot length (tcpdump -s 0)\n",
                n->cut, n->frames);
    if (n->broken > 0)
        fprintf(stderr, "cardea: warning: %" PRIu64 " of %" PRIu64 " frames are malformed\n", n->broken,
                n->frames);
    if (n->evicted > 0)
        fprintf(stderr,
                "cardea: warning: %" PRIu64
                " connections were given up early for want of memory: raise --max-memory\n",
                n->evicted);
    if (n->hellos == 0)
        fprintf(stderr, "cardea: no ClientHello in %" PRIu64 " frames\n", n->frames);
}

static void print_end(const struct options *o, struct explain_summary *summary)
{
    if (o->summary && o->json)
        explain_summary_json(summary);
    else if (o->summary)
        explain_summary_text(summary);
    if (!o->json && o->woulds.count > 0) {
        putchar('\n');
        explain_summary_verdicts(summary);
    }
}

static int read_frames(struct capture_file *file, const struct options *o)
{
    struct reading r = {.options = o, .summary = explain_summary_new(&o->woulds)};
    struct capture *c = capture_new(&o->limits, on_seen, &r);
    int link = capture_file_link(file), rc;
    struct capture_file_frame f;
    struct err err;
    while ((rc = capture_file_next(file, &f, &err)) > 0)
        capture_frame(c, link, f.time, f.data, f.len, f.original);
    capture_end(c);
    print_end(o, r.summary);
    fflush(stdout);
    warn(capture_counts(c));
    capture_free(c);
    explain_summary_free(r.summary);
    return rc == 0 ? CMD_OK : cmd_failed("%s", err.text);
}

/* What the file is instead, where that can be seen. */
static int refuse(const char *path, const struct err *why)
{
    static const char expected[] = "expected a capture (pcap or pcapng), as 'tcpdump -s 0 -w FILE' makes it";
    struct stat st;
    const char *dot = strrchr(path, '.');
    bool is_file = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && st.st_size == 0)
        return cmd_failed("%s: is empty; %s", path, expected);
    if (is_file && dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        return cmd_failed(
            "%s: is no capture, but a configuration by its name: what it does with a connection tells "
            "'cardea explain -c %s --sni NAME'",
            path, path);
    return is_file ? cmd_failed("%s; %s", why->text, expected) : cmd_failed("%s", why->text);
}

int explain_capture(int argc, char **argv)
{
    struct options o = {.limits = {.flow = CAPTURE_FLOW_DEFAULT, .total = CAPTURE_TOTAL_DEFAULT}};
    struct err err;
    int status;
    if (!read_options(argc, argv, &o, &status))
        return status;
    if (optind + 1 != argc)
        return cmd_misused("explain", optind == argc
                                          ? "which connection? Give --sni NAME, or the FILE of a capture"
                                          : "one FILE is expected");
    struct capture_file *file = capture_file_open(argv[optind], &err);
    if (file == NULL)
        return refuse(argv[optind], &err);
    if (packet_knows_link(capture_file_link(file)))
        status = read_frames(file, &o);
    else
        status = cmd_failed("%s: frames of link type %s are not understood", argv[optind],
                            capture_file_link_name(file));
    capture_file_close(file);
    return status;
}
