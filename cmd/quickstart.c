/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea quickstart`: a door to try, with keys, certificates and a configuration of its own, in one command.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/responder.h"
#include "base/check.h"
#include "base/hostport.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/quickstart.h"
#include "cmd/serve.h"
#include "config/config.h"
#include "net/socket.h"

struct quickstart {
    struct quickstart_place place;
    char *config_path;
    struct config *config;
    struct buf welcome; /* HOST:PORT */
    int welcome_fd;     /* -1 once it is taken, or when the page is not ours to serve */
    struct responder *responder;
    struct buf commands;
};

/* ---- the page behind the door ---- */

static void serve_welcome(struct exchange *e, const struct request *request)
{
    struct buf body = {0};
    (void)request;
    CHECK(buf_printf(&body,
                     "Welcome. TLS ended at the door; this page came from a plain web server behind it.\n"));
    exchange_answer(e, 200, TYPE_TEXT, &body);
}

static const struct resource pages[] = {{"/", "GET", serve_welcome}};

/* The backend of the route "web", as the configuration has it now: the user may have put a real one there. */
static const struct config_address *web_backend(const struct config *c)
{
    const struct config_route *r = config_route_find(c, QUICKSTART_WEB);
    return r != NULL && r->action == CONFIG_TERMINATE && r->terminate->to.n > 0 ? &r->terminate->to.v[0]
                                                                                : NULL;
}

/* Serve the page when its place is on this machine and nobody serves there. */
static int open_welcome(struct quickstart *q, struct err *err)
{
    const struct config_address *a = web_backend(q->config);
    q->welcome_fd = -1;
    if (a == NULL || a->host == NULL)
        return err_set(err,
                       "%s has no route named " QUICKSTART_WEB
                       " that terminates to HOST:PORT, which quickstart shows: "
                       "use cardea serve -c %s",
                       q->config_path, q->config_path);
    CHECK(str_host_port_put(&q->welcome, a->host, a->port));
    q->place.welcome = buf_text(&q->welcome);
    if (strcmp(a->host, "127.0.0.1") == 0 && socket_probe_tcp(a->host, a->port, NULL) == 0)
        q->welcome_fd = socket_listen_tcp(a->host, a->port, false, NULL);
    return 0;
}

/* ---- running ---- */

static void on_ready(void *arg, struct loop *loop)
{
    struct quickstart *q = arg;
    struct err err;
    if (q->welcome_fd >= 0) {
        q->responder = responder_new(loop, q->welcome_fd, pages, ARRAY_LEN(pages), q, &err);
        q->welcome_fd = -1;
        if (q->responder == NULL)
            cmd_failed("%s", err.text);
    }
    printf("The door is open on port %u. What it does is written in %s.\n"
           "Try this in another terminal:\n\n%s\n"
           "Each connection leaves a line of JSON here. Control-C closes the door.\n",
           q->place.port, q->config_path, buf_text(&q->commands));
    fflush(stdout);
}

static void on_stopping(void *arg)
{
    struct quickstart *q = arg;
    responder_free(q->responder);
    q->responder = NULL;
}

/* The port of the configuration's first listener. */
static int read_port(struct quickstart *q, uint16_t asked, struct err *err)
{
    q->place.port = q->config->listeners.v[0].address.port;
    if (asked == 0 || asked == q->place.port)
        return 0;
    return err_set(err, "%s says port %u, and is not changed: edit it, or choose another folder",
                   q->config_path, q->place.port);
}

static int load(struct quickstart *q)
{
    struct buf errors = {0};
    q->config = config_load(q->config_path, &errors);
    if (q->config == NULL)
        fprintf(stderr, "%s", buf_text(&errors));
    buf_free(&errors);
    return q->config == NULL ? -1 : 0;
}

/* The configuration stays as it is, so its port may have been taken since it was made. */
static int check_port(const struct quickstart *q, struct err *err)
{
    const struct config_address *a = &q->config->listeners.v[0].address;
    struct err why;
    if (socket_probe_tcp(a->host, a->port, &why) == 0)
        return 0;
    return config_error(q->config, a->text.at, err,
                        "%s: stop what uses it, or change the port in %s, or choose another folder", why.text,
                        q->config_path);
}

/* Where the CA looks, if the door serves it as a new configuration has it. */
static uint16_t challenge_port(const struct config *c)
{
    const struct config_route *r = config_route_find(c, QUICKSTART_CA);
    return r != NULL && r->action == CONFIG_SERVE && c->ca != NULL && c->ca->acme != NULL
               ? (uint16_t)c->ca->acme->http_port
               : 0;
}

static int serve(struct quickstart *q, uint16_t port)
{
    const struct serve_hooks hooks = {.ready = on_ready, .stopping = on_stopping, .arg = q};
    struct err err;
    if (load(q) != 0)
        return CMD_FAILED;
    if (read_port(q, port, &err) != 0 || check_port(q, &err) != 0 || open_welcome(q, &err) != 0)
        return cmd_failed("%s", err.text);
    q->place.socket = q->config->admin.socket.text;
    q->place.challenge = challenge_port(q->config);
    quickstart_commands(&q->place, &q->commands);
    return serve_run(q->config_path, &hooks);
}

static int quickstart(const char *dir, uint16_t port, bool only_write)
{
    struct quickstart q = {.place.dir = dir, .welcome_fd = -1};
    struct err err;
    int status = CMD_OK;
    q.config_path = quickstart_path(dir, QUICKSTART_CONFIG);
    if (quickstart_write(dir, port, &err) != 0)
        status = cmd_failed("%s", err.text);
    else if (only_write)
        printf("%s is ready. Open the door with: cardea quickstart %s\n", q.config_path, dir);
    else
        status = serve(&q, port);
    if (q.welcome_fd >= 0)
        close(q.welcome_fd);
    config_free(q.config);
    buf_free(&q.welcome);
    buf_free(&q.commands);
    free(q.config_path);
    return status;
}

int cmd_quickstart(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"no-serve", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    uint64_t port = 0;
    bool only_write = false;
    for (int c; (c = cmd_option(argc, argv, "h", options)) != -1;) {
        if (c == 'p' && (!str_u64(optarg, UINT16_MAX, &port) || port == 0))
            return cmd_misused("quickstart", "--port takes a number from 1 to 65535, found %s", optarg);
        else if (c == 'n')
            only_write = true;
        else if (c != 'p')
            return cmd_usage("quickstart", c == 'h');
    }
    if (argc - optind > 1)
        return cmd_misused("quickstart", "unexpected argument: %s", argv[optind + 1]);
    return quickstart(optind < argc ? argv[optind] : "cardea-quickstart", (uint16_t)port, only_write);
}
