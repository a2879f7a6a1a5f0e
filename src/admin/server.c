/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin_internal.h"
#include "base/check.h"
#include "base/str.h"
#include "net/socket.h"
#include "session/snapshot.h"

static const struct resource on_socket[] = {
    {"/status", "GET", admin_status},
    {"/sessions", "GET", admin_sessions},
    {"/metrics", "GET", admin_metrics},
    {"/reload", "POST", admin_reload},
    {"/ech", "GET", admin_ech},
    {"/ech/publish", "POST", admin_ech_publish},
    {"/ech/withdraw", "POST", admin_ech_withdraw},
    {"/end", "POST", admin_end},
    {"/whois", "GET", admin_whois},
    {"/certificates", "GET", admin_certificates},
    {"/staging", "GET", admin_staging},
    {"/stage", "POST", admin_stage},
    {"/certificates/swap", "POST", admin_swap},
    {"/forget", "POST", admin_forget},
    {"/ca", "GET", admin_ca},
};

/* Backends come here. */
static const struct resource on_whois[] = {
    {"/whois", "GET", admin_whois},
};

/* Strangers may come here: nothing that names a client, nothing that changes anything. */
static const struct resource on_port[] = {
    {"/metrics", "GET", admin_metrics},
};

/* ---- for the resources ---- */

bool admin_json_text(struct buf *b, const char *text)
{
    return text == NULL ? buf_printf(b, "null") : str_json(b, text, strlen(text));
}

void admin_answer(struct exchange *e, bool ok, const char *type, struct buf *body)
{
    if (ok) {
        exchange_answer(e, 200, type, body);
        return;
    }
    buf_free(body);
    exchange_refuse(e, 500, "out of memory");
}

void admin_refuse(struct exchange *e, const struct err *why)
{
    struct buf body = {0};
    if (buf_printf(&body, "{\"error\":") && admin_json_text(&body, why->text) && buf_append(&body, "}\n", 2))
        exchange_answer(e, 409, TYPE_JSON, &body);
    else
        admin_answer(e, false, TYPE_JSON, &body);
}

/* ---- sockets ---- */

const char *admin_default_socket(char text[ADMIN_SOCKET_MAX])
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    /* An absolute path, says the XDG Base Directory Specification; anything else is ignored. */
    if (dir != NULL && *dir == '/' && strlen(dir) + sizeof("/cardea.sock") <= ADMIN_SOCKET_MAX)
        snprintf(text, ADMIN_SOCKET_MAX, "%s/cardea.sock", dir);
    else
        snprintf(text, ADMIN_SOCKET_MAX, "%s", ADMIN_SYSTEM_SOCKET);
    return text;
}

static const struct config_admin *config_of(const struct admin *a)
{
    return &door_snapshot(a->door)->config->admin;
}

/* The socket that the configuration in force asks for. */
static const char *socket_wanted(const struct admin *a, char space[ADMIN_SOCKET_MAX])
{
    const char *path = config_of(a)->socket.text;
    return path != NULL ? path : admin_default_socket(space);
}

/* Tell whose choice the place was, and how to choose another. */
static int no_socket(const struct admin *a, const char *why, struct err *err)
{
    const struct config_text *at = &config_of(a)->socket;
    const struct config *c = door_snapshot(a->door)->config;
    if (at->text != NULL)
        return config_error(c, at->at, err, "admin.socket: %s", why);
    return err_set(err, "the admin socket: %s; set admin.socket in the configuration (%s)", why, c->file);
}

static void note_socket(struct admin_socket *s, const char *path)
{
    struct stat st;
    s->path = strdup(path);
    CHECK(s->path != NULL);
    if (stat(path, &st) == 0) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
}

static int open_socket(struct admin *a, struct err *err)
{
    char space[ADMIN_SOCKET_MAX];
    struct err why;
    const char *path = socket_wanted(a, space);
    int fd = socket_listen_unix(path, 0600, &why);
    if (fd < 0)
        return no_socket(a, why.text, err);
    note_socket(&a->socket, path);
    a->on_socket = responder_new(a->loop, fd, on_socket, ARRAY_LEN(on_socket), a, err);
    return a->on_socket != NULL ? 0 : -1;
}

/* The door's group may ask as well. */
static int open_whois(struct admin *a, struct err *err)
{
    const struct config_text *at = &config_of(a)->whois;
    struct err why;
    if (at->text == NULL)
        return 0;
    int fd = socket_listen_unix(at->text, 0660, &why);
    if (fd < 0)
        return config_error(door_snapshot(a->door)->config, at->at, err, "admin.whois: %s", why.text);
    note_socket(&a->whois, at->text);
    a->on_whois = responder_new(a->loop, fd, on_whois, ARRAY_LEN(on_whois), a, err);
    return a->on_whois != NULL ? 0 : -1;
}

static int open_port(struct admin *a, struct err *err)
{
    const struct config_address *at = &config_of(a)->metrics;
    struct err why;
    if (at->text.text == NULL)
        return 0;
    int fd = socket_listen_tcp(at->host, at->port, false, &why);
    if (fd < 0)
        return config_error(door_snapshot(a->door)->config, at->text.at, err, "admin.metrics: %s", why.text);
    a->metrics = strdup(at->text.text);
    CHECK(a->metrics != NULL);
    a->on_port = responder_new(a->loop, fd, on_port, ARRAY_LEN(on_port), a, err);
    return a->on_port != NULL ? 0 : -1;
}

static uint64_t ca_of(const struct admin *a)
{
    const struct config_ca *ca = door_snapshot(a->door)->config->ca;
    return ca == NULL ? 0 : ca->head.content;
}

struct admin *admin_new(struct loop *loop, struct door *door, struct err *err)
{
    struct admin *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->magic = ADMIN_MAGIC;
    a->loop = loop;
    a->door = door;
    a->ca = ca_of(a);
    if ((!config_of(a)->enabled || open_socket(a, err) == 0) && open_whois(a, err) == 0 &&
        open_port(a, err) == 0)
        return a;
    admin_free(a);
    return NULL;
}

void admin_set_reloaded(struct admin *a, door_reloaded *reloaded, void *arg)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->on_reload = reloaded;
    a->on_reload_arg = arg;
}

void admin_set_listing(struct admin *a, listing_ask *ask, void *arg)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->list = ask;
    a->list_arg = arg;
}

void admin_set_candidates(struct admin *a, struct candidates *candidates)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->candidates = candidates;
}

void admin_set_swaps(struct admin *a, const struct swaps *swaps)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->swaps = swaps;
}

void admin_set_swap(struct admin *a, swap_ask *ask, void *arg)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->swap = ask;
    a->swap_arg = arg;
}

void admin_set_demands(struct admin *a, const struct admin_demands *demands)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->demands = *demands;
}

void admin_set_ca(struct admin *a, admin_ca_fn *ends, void *arg)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->ca_ends = ends;
    a->ca_ends_arg = arg;
}

void admin_took_ca(struct admin *a)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->ca = ca_of(a);
}

/* Unless another door has put its own there meanwhile. */
static void remove_socket(const struct admin_socket *s)
{
    struct stat st;
    if (s->path != NULL && stat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    CHECK_MAGIC(a, ADMIN_MAGIC);
    remove_socket(&a->socket); /* before it is closed: nobody finds a dead one */
    remove_socket(&a->whois);
    responder_free(a->on_socket);
    responder_free(a->on_whois);
    responder_free(a->on_port);
    free(a->socket.path);
    free(a->whois.path);
    free(a->metrics);
    a->magic = 0;
    free(a);
}

const char *admin_socket(const struct admin *a)
{
    return a->socket.path;
}

const char *admin_outdated(const struct admin *a, char text[ADMIN_OUTDATED_MAX])
{
    char space[ADMIN_SOCKET_MAX];
    const bool sockets = !str_same(config_of(a)->metrics.text.text, a->metrics) ||
                         !str_same(config_of(a)->whois.text, a->whois.path) ||
                         !str_same(config_of(a)->enabled ? socket_wanted(a, space) : NULL, a->socket.path);
    const char *words[3];
    size_t n = 0;
    if (!door_has_its_workers(a->door))
        words[n++] = "workers";
    if (sockets)
        words[n++] = "the sockets of admin";
    if (ca_of(a) != a->ca)
        words[n++] = "the settings of ca";
    if (n == 0)
        return NULL;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), ADMIN_OUTDATED_MAX - strlen(text), "%s%s",
                 i == 0       ? ""
                 : i + 1 == n ? " and "
                              : ", ",
                 words[i]);
    snprintf(text + strlen(text), ADMIN_OUTDATED_MAX - strlen(text),
             " stay what they were until the door is started anew");
    return text;
}
