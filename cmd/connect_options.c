/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/connect_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "cmd/cmd.h"

#define TIMEOUT_DEFAULT (30 * NSEC_PER_SEC)
#define TIMEOUT_MAX (24 * 3600 * NSEC_PER_SEC)

/* Options without a letter. */
enum {
    OPTION_SNI = 256,
    OPTION_ALPN,
    OPTION_TIMEOUT,
    OPTION_UDP,
    OPTION_SOCKS,
    OPTION_VERBOSE,
    OPTION_NO_SHARE,
    OPTION_END_TO_END,
};

static const struct option options[] = {
    CONNECT_SETTING_FLAGS,
    {"sni", required_argument, NULL, OPTION_SNI},
    {"alpn", required_argument, NULL, OPTION_ALPN},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"udp", no_argument, NULL, OPTION_UDP},
    {"socks", required_argument, NULL, OPTION_SOCKS},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"no-share", no_argument, NULL, OPTION_NO_SHARE},
    {"end-to-end", no_argument, NULL, OPTION_END_TO_END},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* "500ms", "10s", "1m", "1h": more than nothing, at most a day. */
static bool read_time(const char *text, int64_t *ret)
{
    return unit_parse(text, unit_durations, ret) && *ret > 0 && *ret <= TIMEOUT_MAX;
}

/* What -L or --socks says, to be read once all options are known. */
struct listen {
    const char *text;
    bool socks;
};

/* One option. Returns -1, or an exit status. */
static int take(struct connect_options *o, int option, struct listen *listens)
{
    switch (option) {
    case 'L':
    case OPTION_SOCKS:
        listens[o->forwards_len++] = (struct listen){optarg, option == OPTION_SOCKS};
        return -1;
    case OPTION_SNI:
        o->sni = optarg;
        return -1;
    case OPTION_ALPN:
        o->alpn = optarg;
        return -1;
    case OPTION_TIMEOUT:
        return read_time(optarg, &o->timeout)
                   ? -1
                   : cmd_misused("connect", "--timeout %s: expected a time such as 500ms, 10s or 1m", optarg);
    case OPTION_NO_SHARE:
        o->no_share = true;
        return -1;
    case OPTION_END_TO_END:
        o->end_to_end = true;
        return -1;
    case OPTION_UDP:
        o->udp = true;
        return -1;
    case OPTION_VERBOSE:
        o->verbose = true;
        return -1;
    case 'h':
    case '?':
        return cmd_usage("connect", option == 'h');
    default:
        return connect_settings_take(&o->settings, option, "connect");
    }
}

/* Where standard input and output go. */
static int read_target(struct connect_options *o, int argc, char **argv)
{
    struct err err;
    char hint[HOST_HINT_MAX];
    bool wanted = o->sni == NULL && o->forwards_len == 0;
    if (argc > (wanted ? 1 : 0))
        return cmd_misused("connect", "'%s' is one argument too many", argv[argc - 1]);
    if (!wanted)
        return -1;
    if (argc == 0)
        return cmd_misused("connect", "where to? HOST:PORT is missing (or NAME, -L, --socks, or --sni)");
    o->target.offered = strchr(argv[0], ':') == NULL;
    if (o->target.offered && str_host_name(argv[0], strlen(argv[0]), o->target.host, &err) != 0)
        return cmd_misused("connect", "'%s' is neither HOST:PORT nor a NAME: %s%s", argv[0], err.text,
                           str_host_port_hint(argv[0], hint));
    if (o->target.offered)
        return -1;
    if (str_host_port(argv[0], strlen(argv[0]), o->target.host, &o->target.port, &err) != 0)
        return cmd_misused("connect", "'%s': %s (expected HOST:PORT)%s", argv[0], err.text,
                           str_host_port_hint(argv[0], hint));
    return -1;
}

static int read_forwards(struct connect_options *o, const struct listen *listens)
{
    struct err err;
    o->forwards = calloc(o->forwards_len + 1, sizeof(*o->forwards));
    CHECK(o->forwards != NULL);
    for (size_t i = 0; i < o->forwards_len; i++) {
        struct forward *f = &o->forwards[i];
        int r = listens[i].socks ? forward_parse_socks(listens[i].text, f, &err)
                                 : forward_parse(listens[i].text, o->sni != NULL, f, &err);
        if (r != 0)
            return cmd_misused("connect", "%s", err.text);
        f->target.udp = o->udp && !f->socks;
        if (f->target.udp && f->target.offered)
            return cmd_misused("connect",
                               "%s is a name that an agent offers, and --udp cannot lead there: it leads to "
                               "HOST:PORT; what is offered over UDP is reached at its port of the door",
                               f->target.host);
    }
    return -1;
}

/* Options that do not go together. */
static int check_pairs(const struct connect_options *o, const struct listen *listens)
{
    const char *transport = o->settings.value[SETTING_TRANSPORT]; /* a flag's; others may say more later */
    size_t socks = 0;
    for (size_t i = 0; i < o->forwards_len; i++)
        socks += listens[i].socks;
    if (o->alpn != NULL && o->sni == NULL)
        return cmd_misused("connect", "--alpn goes with --sni");
    if (o->sni != NULL && transport != NULL && strcmp(transport, "quic") == 0)
        return cmd_misused("connect", "--transport quic carries tunnels only: routes that --sni chooses are "
                                      "reached over TCP");
    if (o->udp && (o->forwards_len == socks || o->sni != NULL))
        return cmd_misused("connect", "--udp goes with -L [ADDR:]PORT:HOST:PORT");
    if (o->end_to_end && (o->udp || o->sni != NULL))
        return cmd_misused(
            "connect", "--end-to-end does not go with %s: it is for what agents offer end-to-end, over TCP",
            o->udp ? "--udp" : "--sni");
    if (socks > 0 && o->sni != NULL)
        return cmd_misused("connect",
                           "--socks asks the door for targets, and --sni for a route instead: they "
                           "do not go together");
    return -1;
}

int connect_options_read(struct connect_options *o, int argc, char **argv)
{
    struct listen *listens = calloc((size_t)argc, sizeof(*listens)); /* more than there can be */
    CHECK(listens != NULL);
    *o = (struct connect_options){.timeout = TIMEOUT_DEFAULT};
    int status = -1;
    for (int c; status < 0 && (c = cmd_option(argc, argv, "L:h", options)) != -1;)
        status = take(o, c, listens);
    if (status < 0)
        status = check_pairs(o, listens);
    if (status < 0)
        status = read_target(o, argc - optind, argv + optind);
    if (status < 0)
        status = read_forwards(o, listens);
    free(listens);
    return status;
}

void connect_options_free(struct connect_options *o)
{
    connect_settings_free(&o->settings);
    free(o->forwards);
}
