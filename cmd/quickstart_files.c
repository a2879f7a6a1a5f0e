/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/ca.h"
#include "cert/cert.h"
#include "cmd/quickstart.h"
#include "net/socket.h"

#define DAY INT64_C(86400)
#define DOOR_PORT 8443 /* when it is free */
#define GROUP "admins"

char *quickstart_path(const char *dir, const char *name)
{
    char *path;
    CHECK(asprintf(&path, "%s/%s", dir, name) >= 0);
    return path;
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- certificates ---- */

/* DIR/NAME.pem and DIR/NAME.key. */
struct pair {
    char *cert;
    char *key;
};

static struct pair pair_of(const char *dir, const char *name)
{
    struct pair p;
    CHECK(asprintf(&p.cert, "%s/%s.pem", dir, name) >= 0 && asprintf(&p.key, "%s/%s.key", dir, name) >= 0);
    return p;
}

static void pair_free(struct pair *p)
{
    free(p->cert);
    free(p->key);
}

/* The CA of this folder: read, or made when there is none. NULL with `err`. */
static struct ca *open_ca(const char *dir, struct err *err)
{
    const struct ca_request request = {.name = "cardea quickstart CA", .lifetime = 3650 * DAY};
    struct pair p = pair_of(dir, "ca");
    struct ca *ca;
    if (exists(p.cert)) {
        ca = ca_load(p.cert, p.key, err);
    } else {
        ca = ca_create_root(&request, err);
        if (ca != NULL && ca_save(ca, p.cert, p.key, err) != 0) {
            ca_free(ca);
            ca = NULL;
        }
    }
    pair_free(&p);
    return ca;
}

/* Issue DIR/NAME.pem with its key when there is none. */
static int issue(const struct ca *ca, const char *dir, const char *name, enum ca_profile profile,
                 const struct ca_request *request, struct err *err)
{
    struct pair p = pair_of(dir, name);
    int result = 0;
    if (!exists(p.cert)) {
        struct ca *leaf = ca_issue(ca, profile, request, err);
        result = leaf == NULL ? -1 : ca_save(leaf, p.cert, p.key, err);
        ca_free(leaf);
    }
    pair_free(&p);
    return result;
}

/* For this machine, by all names that it calls itself. */
static int issue_door(const struct ca *ca, const char *dir, struct err *err)
{
    char host[256] = "";
    const char *sans[] = {"localhost", "127.0.0.1", "::1", host};
    if (gethostname(host, sizeof(host) - 1) != 0 || strcmp(host, "localhost") == 0 ||
        !cert_dns_name_ok(host, strlen(host)))
        host[0] = '\0';
    struct ca_request request = {.name = "localhost",
                                 .sans = sans,
                                 .sans_len = ARRAY_LEN(sans) - (*host == '\0'),
                                 .lifetime = 365 * DAY};
    return issue(ca, dir, "door", CA_PROFILE_SERVER, &request, err);
}

/* For the user who runs this. */
static int issue_client(const struct ca *ca, const char *dir, struct err *err)
{
    static const char *const groups[] = {GROUP};
    const struct passwd *user = getpwuid(getuid());
    struct ca_request request = {.name = user != NULL ? user->pw_name : "user",
                                 .groups = groups,
                                 .groups_len = ARRAY_LEN(groups),
                                 .lifetime = 365 * DAY};
    return issue(ca, dir, "client", CA_PROFILE_CLIENT, &request, err);
}

static int write_certificates(const char *dir, struct err *err)
{
    struct ca *ca = open_ca(dir, err);
    int result = ca != NULL && issue_door(ca, dir, err) == 0 && issue_client(ca, dir, err) == 0 ? 0 : -1;
    ca_free(ca);
    return result;
}

/* ---- configuration ---- */

/* To be filled in: the door's port, twice; the port of the web page. */
static const char config_text[] =
    "# Made by `cardea quickstart`: one port, and three services behind it. Change what you like;\n"
    "# a running door takes it with `cardea reload --socket` and the path of the admin socket below.\n"
    "# cardea.yaml(5) explains every key. `cardea serve --check -c` and the path of this file say\n"
    "# what is wrong with it, and in which order its routes are tried.\n"
    "\n"
    "# The one port. Only this machine reaches it; \"[::]:%u\" would open it to all others.\n"
    "listeners:\n"
    "  - name: main\n"
    "    address: \"127.0.0.1:%u\"\n"
    "\n"
    "# What the door shows of itself, issued by the private CA in ca.pem.\n"
    "certificates:\n"
    "  - {certificate: door.pem, key: door.key}\n"
    "\n"
    "# Whose certificates prove who a client is. client.pem is one of them: it has your login name,\n"
    "# and the group " GROUP ".\n"
    "trust:\n"
    "  - {name: ours, ca: ca.pem}\n"
    "\n"
    "# What becomes of a connection. Of the routes that match, the most specific one wins, wherever\n"
    "# it stands.\n"
    "routes:\n"
    "  # 1. A web page, for those who ask for the server name localhost. TLS ends at the door; behind\n"
    "  #    it is plain HTTP. `cardea quickstart` itself serves the page; put the address of your own\n"
    "  #    web server here.\n"
    "  - name: " QUICKSTART_WEB "\n"
    "    sni: localhost\n"
    "    terminate: {to: \"127.0.0.1:%u\", alpn: http/1.1}\n"
    "\n"
    "  # 2. PostgreSQL, if it runs on this machine. Its clients do not begin with TLS, but the door\n"
    "  #    knows how they do begin.\n"
    "  - name: postgres\n"
    "    first_bytes: postgresql\n"
    "    terminate: {to: \"127.0.0.1:5432\"}\n"
    "\n"
    "  # 3. A tunnel: the client shows a certificate and names the place that it wants to reach.\n"
    "  #    `cardea connect` speaks cardea/1; programs that know HTTPS proxies speak http/1.1.\n"
    "  - name: tunnel\n"
    "    alpn: [cardea/1, http/1.1]\n"
    "    tunnel: {}\n"
    "    clients: {mode: required, trust: ours}\n"
    "\n"
    "# Who may reach what. The first row that matches decides; what no row allows is denied.\n"
    "policy:\n"
    "  - name: admins\n"
    "    who: {group: " GROUP "}\n"
    "    routes: tunnel\n"
    "    targets: [\"127.0.0.1:*\", \"localhost:*\"]\n"
    "\n"
    "# One line of JSON for each connection; \"-\" is the terminal.\n"
    "audit: {file: \"-\"}\n"
    "\n"
    "# Where `cardea status` and `cardea reload` find the door: tell them with --socket.\n"
    "admin: {socket: cardea.sock}\n";

/* A port of 127.0.0.1 that nobody has: `wanted` (unless 0) if that is so of it, else any. 0 with `err`. */
static uint16_t free_port(uint16_t wanted, struct err *err)
{
    if (wanted != 0 && socket_probe_tcp("127.0.0.1", wanted, err) == 0)
        return wanted;
    int fd = socket_listen_tcp("127.0.0.1", 0, false, err);
    if (fd < 0)
        return 0;
    uint16_t port = socket_local(fd).port;
    close(fd);
    return port;
}

static int write_config(const char *dir, uint16_t port, struct err *err)
{
    if (port == 0)
        port = free_port(DOOR_PORT, err);
    uint16_t welcome = free_port(0, err);
    if (port == 0 || welcome == 0)
        return -1;
    char *path = quickstart_path(dir, QUICKSTART_CONFIG), *text;
    int len = asprintf(&text, config_text, port, port, welcome);
    CHECK(len >= 0);
    int result = file_write_atomic(path, 0644, text, (size_t)len, err);
    free(text);
    free(path);
    return result;
}

int quickstart_write(const char *dir, uint16_t port, struct err *err)
{
    char *path = quickstart_path(dir, QUICKSTART_CONFIG);
    bool done = exists(path);
    free(path);
    if (done)
        return 0;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make the folder %s", dir);
    return write_certificates(dir, err) == 0 ? write_config(dir, port, err) : -1;
}
