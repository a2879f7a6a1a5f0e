/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/admin_client.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/server.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"

#define ASK_CA_NS (5 * NSEC_PER_SEC)

#define ANSWER_MAX (256 << 20)
#define VERSION "HTTP/1.1 "
#define PIECE 65536

/* A question under way. */
struct asking {
    const char *socket;
    int fd;
    int64_t deadline; /* monotonic */
    int64_t timeout;
};

#define NO_DOOR_ADVICE \
    ": start one with `cardea serve -c FILE`, or name its admin socket with --socket or CARDEA_SOCKET"

/* Does this errno value of connect() mean that nobody is there? */
static bool is_absent(int code)
{
    return code == ENOENT || code == ECONNREFUSED;
}

static int no_door(const char *socket, int code, struct err *err)
{
    if (is_absent(code))
        return err_set(err, "no door is running at %s" NO_DOOR_ADVICE, socket);
    if (code == EACCES || code == EPERM)
        return err_set(err, "%s: permission denied: only the user who runs the door may ask it", socket);
    return err_errno(err, code, "cannot reach the door at %s", socket);
}

/* Wait until the socket is ready for `events`. */
static int await(const struct asking *a, short events, struct err *err)
{
    struct pollfd p = {.fd = a->fd, .events = events};
    int64_t left = a->deadline - clock_monotonic();
    int n = left <= 0 ? 0 : poll(&p, 1, (int)(left / NSEC_PER_MSEC) + 1);
    if (n > 0 || (n < 0 && errno == EINTR))
        return 0;
    if (n < 0)
        return err_errno(err, errno, "poll");
    return err_set(err, "the door at %s did not answer within %lld seconds", a->socket,
                   (long long)(a->timeout / NSEC_PER_SEC));
}

static int send_all(const struct asking *a, const char *text, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = send(a->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return no_door(a->socket, errno, err);
        if (n < 0 && await(a, POLLOUT, err) != 0)
            return -1;
        text += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

/* The whole answer: the door closes after it. */
static int receive_all(const struct asking *a, struct buf *ret, struct err *err)
{
    for (;;) {
        if (!buf_reserve(ret, PIECE))
            return err_set(err, "the answer of the door at %s is too long", a->socket);
        ssize_t n = recv(a->fd, ret->data + ret->len, PIECE, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return no_door(a->socket, errno, err);
        if (n < 0 && await(a, POLLIN, err) != 0)
            return -1;
        ret->len += (size_t)MAX(n, 0);
    }
}

static bool is_status(const char *text)
{
    return strspn(text, "0123456789") == 3 && text[3] == ' ';
}

/* Take the answer apart; the door's own are all of one form. */
static int read_answer(const struct asking *a, struct buf *answer, json_t **ret, struct err *err)
{
    const char *text = buf_text(answer);
    const char *body = text == NULL ? NULL : strstr(text, "\r\n\r\n");
    if (body == NULL || strncmp(text, VERSION, strlen(VERSION)) != 0 || !is_status(text + strlen(VERSION)))
        return err_set(err, "what listens at %s is no door", a->socket);
    unsigned long status = strtoul(text + strlen(VERSION), NULL, 10);
    body += 4;
    size_t len = answer->len - (size_t)(body - text);
    *ret = json_loadb(body, len, 0, NULL);
    if (json_is_object(*ret))
        return (int)status;
    json_decref(*ret);
    *ret = NULL;
    return err_set(err, "the door at %s answered %lu: %.*s", a->socket, status,
                   (int)MIN(strcspn(body, "\r\n"), (size_t)200), body);
}

static int ask(const struct asking *a, const char *method, const char *path, json_t **ret, struct err *err)
{
    struct buf request = {0}, answer = {.max = ANSWER_MAX};
    CHECK(
        buf_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path));
    int status = send_all(a, (char *)request.data, request.len, err);
    if (status == 0)
        status = receive_all(a, &answer, err);
    if (status == 0)
        status = read_answer(a, &answer, ret, err);
    buf_free(&request);
    buf_free(&answer);
    return status;
}

/* Where a door may be when nobody says where: the user's place, the system's, and that of the packaged
 * service. NULL behind the last one; `space` holds what is returned. */
static const char *place(size_t i, char space[ADMIN_SOCKET_MAX])
{
    bool shared = strcmp(admin_default_socket(space), ADMIN_SYSTEM_SOCKET) == 0;
    const char *const places[] = {space, shared ? ADMIN_SERVICE_SOCKET : ADMIN_SYSTEM_SOCKET,
                                  shared ? NULL : ADMIN_SERVICE_SOCKET, NULL};
    CHECK(i < ARRAY_LEN(places));
    return places[i];
}

void admin_put_places(struct buf *ret)
{
    char space[ADMIN_SOCKET_MAX];
    const char *at;
    for (size_t i = 0; (at = place(i, space)) != NULL; i++)
        CHECK(buf_printf(ret, "%s%s", i == 0 ? "" : place(i + 1, space) == NULL ? " or " : ", ", at));
}

static int find_door(struct asking *a, char space[ADMIN_SOCKET_MAX], struct err *err)
{
    struct buf places = {0};
    for (size_t i = 0; (a->socket = place(i, space)) != NULL; i++) {
        a->fd = socket_connect_unix(a->socket);
        if (a->fd >= 0)
            return 0;
        if (!is_absent(errno))
            return no_door(a->socket, errno, err);
    }
    admin_put_places(&places);
    err_set(err, "no door is running at %s" NO_DOOR_ADVICE, buf_text(&places));
    buf_free(&places);
    return -1;
}

static int find_door_at(struct asking *a, const char *socket, struct err *err)
{
    a->socket = socket;
    a->fd = socket_connect_unix(socket);
    return a->fd >= 0 ? 0 : no_door(socket, errno, err);
}

static const char *named(const char *socket)
{
    const char *variable = getenv("CARDEA_SOCKET");
    return socket == NULL && variable != NULL && *variable != '\0' ? variable : socket;
}

static bool listens(const char *socket)
{
    int fd = socket_connect_unix(socket);
    if (fd < 0)
        return !is_absent(errno);
    close(fd);
    return true;
}

static bool is_ending(const json_t *answer, const char *which)
{
    return json_is_true(json_object_get(json_object_get(answer, which), "ending"));
}

void admin_warn_of_ca(const char *socket)
{
    struct err err;
    json_t *answer = NULL;
    if (admin_ask(socket, "GET", "/ca", ASK_CA_NS, &answer, &err) < 0)
        return; /* whoever asks has been told already, by what he asked for */
    if (is_ending(answer, "root"))
        fprintf(stderr, "cardea: the root of the door's CA is near its end: cardea ca show\n");
    else if (is_ending(answer, "intermediate"))
        fprintf(stderr,
                "cardea: the intermediate of the door's CA is near its end, and what it issues ends with it: "
                "cardea ca renew\n");
    json_decref(answer);
}

bool admin_is_there(const char *socket)
{
    char space[ADMIN_SOCKET_MAX];
    bool found = false;
    socket = named(socket);
    if (socket != NULL)
        return listens(socket);
    for (size_t i = 0; !found && (socket = place(i, space)) != NULL; i++)
        found = listens(socket);
    return found;
}

int admin_ask(const char *socket, const char *method, const char *path, int64_t timeout, json_t **ret,
              struct err *err)
{
    char space[ADMIN_SOCKET_MAX];
    socket = named(socket);
    struct asking a = {.deadline = clock_monotonic() + timeout, .timeout = timeout};
    if ((socket != NULL ? find_door_at(&a, socket, err) : find_door(&a, space, err)) != 0)
        return -1;
    int status = ask(&a, method, path, ret, err);
    close(a.fd);
    return status;
}

void admin_put_value(struct buf *b, const char *key, const char *value)
{
    if (value == NULL)
        return;
    CHECK(buf_printf(b, "%s%s=", b->len > 0 && b->data[b->len - 1] == '?' ? "" : "&", key));
    for (const char *p = value; *p != '\0'; p++)
        CHECK(isalnum((unsigned char)*p) || strchr("-._~/", *p) != NULL
                  ? buf_append(b, p, 1)
                  : buf_printf(b, "%%%02X", (unsigned char)*p));
}
