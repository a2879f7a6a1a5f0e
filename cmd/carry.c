/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea carry`: what the `cardea connect` of one user share. They start it themselves; a user's service may
 * run it instead. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/cmd.h"
#include "cmd/connect_settings.h"
#include "cmd/login_keeper.h"
#include "cmd/process.h"
#include "cmd/share.h"
#include "tunnel/share.h"

#define LAST_NS (200 * NSEC_PER_MSEC)  /* for callers that found the socket just before it went */
#define VAIN_NS (5 * NSEC_PER_SEC)     /* that a process stays which no door has answered */
#define TIMEOUT_NS (30 * NSEC_PER_SEC) /* callers bring their own */

struct carry {
    struct share_settings settings;
    struct connect_settings connect;
    int64_t idle;
    int listen_fd; /* from who started us; else -1 */
    struct loop *loop;
    struct share *share;
    struct login_keeper *keeper; /* NULL: the certificate is of no login */
    struct signals signals;
    struct timer last;
    struct stat socket;
};

static void on_signal(struct signals *s, int number)
{
    (void)number;
    loop_stop(CONTAINER_OF(s, struct carry, signals)->loop);
}

/* Unless another one has put its own there meanwhile. */
static void remove_socket(const struct carry *c)
{
    struct stat now;
    if (stat(c->settings.path, &now) == 0 && now.st_dev == c->socket.st_dev && now.st_ino == c->socket.st_ino)
        unlink(c->settings.path);
}

static void on_last(struct timer *t)
{
    struct carry *c = CONTAINER_OF(t, struct carry, last);
    if (share_is_unused(c->share))
        loop_stop(c->loop);
}

/* New callers find the socket no more and start another process; those that have found it are served. */
static void on_unused(void *owner)
{
    struct carry *c = owner;
    remove_socket(c);
    loop_set_timer(c->loop, &c->last, loop_now(c->loop) + LAST_NS);
}

static void on_renewed(void *owner)
{
    const struct carry *c = owner;
    share_look(c->share);
}

static int keep_login(struct carry *c, struct err *err)
{
    const struct login_keeper_owner owner = {.renewed = on_renewed, .owner = c};
    process_keep_children();
    return login_keeper_new(&c->keeper, c->loop, &c->settings.client, &owner, err);
}

static int start(struct carry *c, struct err *err)
{
    struct client_settings client = connect_settings_client(&c->connect);
    client.stays = true;
    client.timeout = TIMEOUT_NS;
    process_keep_memory();
    c->loop = loop_new(err);
    if (c->loop == NULL || signals_watch(&c->signals, c->loop, 0, on_signal, err) != 0 ||
        share_settings_make(&c->settings, &client, c->idle, err) != 0)
        return -1;
    int fd = c->listen_fd >= 0 ? c->listen_fd : share_listen(&c->settings, err);
    if (fd < 0)
        return -1;
    stat(c->settings.path, &c->socket);
    struct share_life life = {.idle = c->idle, .vain = c->idle, .unused = on_unused, .owner = c};
    if (c->listen_fd >= 0) /* a call has started us; a service of the user's stays for others */
        life.vain = VAIN_NS;
    c->share = share_new(c->loop, fd, &c->settings.client, &life, err);
    return c->share != NULL ? keep_login(c, err) : -1;
}

static void finish(struct carry *c)
{
    if (c->share != NULL)
        remove_socket(c);
    wheel_cancel(&c->last);
    login_keeper_free(c->keeper);
    share_free(c->share);
    signals_unwatch(&c->signals);
    loop_free(c->loop);
    share_settings_free(&c->settings);
}

static int run(struct carry *c)
{
    struct err err = {0};
    int status = CMD_OK;
    timer_init(&c->last, on_last);
    if (start(c, &err) != 0 || loop_run(c->loop, &err) != 0)
        status = cmd_failed("%s", err.text);
    finish(c);
    return status;
}

/* One option. Returns -1, or an exit status. */
static int take(struct carry *c, int option)
{
    uint64_t fd;
    switch (option) {
    case 'f':
        if (!str_u64(optarg, 1024, &fd))
            return cmd_misused("carry", "--listen-fd %s: expected the number of a descriptor", optarg);
        c->listen_fd = (int)fd;
        return -1;
    case 'i':
        if (unit_parse(optarg, unit_durations, &c->idle) && c->idle > 0)
            return -1;
        return cmd_misused("carry", "--idle %s: expected a time such as 30s or 10m", optarg);
    case 'h':
    case '?':
        return cmd_usage("carry", option == 'h');
    default:
        return connect_settings_take(&c->connect, option, "carry");
    }
}

int cmd_carry(int argc, char **argv)
{
    static const struct option options[] = {
        DOOR_SETTING_FLAGS,
        {"idle", required_argument, NULL, 'i'},
        {"listen-fd", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct carry c = {.idle = SHARE_IDLE_NS, .listen_fd = -1, .signals = SIGNALS_NONE};
    int status = -1;
    for (int o; status < 0 && (o = cmd_option(argc, argv, "h", options)) != -1;)
        status = take(&c, o);
    if (status < 0 && optind != argc)
        status = cmd_misused("carry", "'%s' is one argument too many", argv[argc - 1]);
    /* Who started us has settled what holds: what is not said is not there. */
    if (status < 0)
        status = c.listen_fd < 0 ? connect_settings_complete(&c.connect, "carry")
                                 : connect_settings_check(&c.connect, "carry");
    if (status < 0)
        status = run(&c);
    connect_settings_free(&c.connect);
    return status;
}
