/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/authority.h"
#include "cert/cert.h"
#include "cmd/quickstart.h"
#include "net/socket.h"

#define DAY INT64_C(86400)
#define DOOR_PORT 8443 /* when it is free */
#define SECRET_BYTES 16
#define ROOT_MAX 65536 /* bytes of a certificate in PEM */
#define GROUP QUICKSTART_GROUP

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

/* Seconds since 1970. */
static int64_t now(void)
{
    return clock_wall() / NSEC_PER_SEC;
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

/* What the files are about. */
struct making {
    const char *dir;
    uint16_t port;      /* of the door */
    uint16_t welcome;   /* of the page behind it */
    uint16_t challenge; /* where http-01 looks */
};

/* A passphrase that nobody has to remember: nothing here needs the root's key any more. It is written down,
 * for who wants to go on with this CA. */
static int make_passphrase(const char *dir, char ret[2 * SECRET_BYTES + 1], struct err *err)
{
    uint8_t secret[SECRET_BYTES];
    char *path = quickstart_path(dir, "root-passphrase");
    CHECK(getrandom(secret, sizeof(secret), 0) == (ssize_t)sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++)
        snprintf(ret + 2 * i, 3, "%02x", secret[i]);
    int result = file_write_atomic(path, 0600, ret, 2 * SECRET_BYTES, err);
    explicit_bzero(secret, sizeof(secret));
    free(path);
    return result;
}

static int init_ca(const struct making *m, const char *folder, struct err *err)
{
    char passphrase[2 * SECRET_BYTES + 1] = "";
    char *url;
    CHECK(asprintf(&url, "http://localhost:%u/ca", m->port) >= 0);
    int result = make_passphrase(m->dir, passphrase, err);
    if (result == 0) {
        const struct authority_plan plan = {
            .name = "cardea quickstart", .url = url, .root_passphrase = {passphrase, 2 * SECRET_BYTES}};
        result = authority_init(folder, &plan, now(), err);
    }
    explicit_bzero(passphrase, sizeof(passphrase));
    free(url);
    return result;
}

/* Its root beside the other files, where commands and configuration name it. */
static int copy_root(const char *dir, const char *folder, struct err *err)
{
    char *from = quickstart_path(folder, "root.pem"), *to = quickstart_path(dir, "ca.pem");
    struct buf pem = {0};
    int result = file_read(from, ROOT_MAX, &pem, NULL, err) < 0 ||
                         file_write_atomic(to, 0644, pem.data, pem.len, err) != 0
                     ? -1
                     : 0;
    buf_free(&pem);
    free(from);
    free(to);
    return result;
}

/* The CA of this folder: opened, or made when there is none. NULL with `err`. */
static struct authority *open_ca(const struct making *m, struct err *err)
{
    char *folder = quickstart_path(m->dir, QUICKSTART_CA);
    struct authority *a = NULL;
    if ((exists(folder) || init_ca(m, folder, err) == 0) && copy_root(m->dir, folder, err) == 0)
        a = authority_open(folder, err);
    if (a != NULL && authority_unlock(a, NULL, err) < 0) {
        authority_close(a);
        a = NULL;
    }
    free(folder);
    return a;
}

/* Issue DIR/NAME.pem with its key when there is none. */
static int issue(struct authority *a, const char *dir, const char *name, enum ca_profile profile,
                 const struct ca_request *request, struct err *err)
{
    struct pair p = pair_of(dir, name);
    int result = 0;
    if (!exists(p.cert)) {
        struct ca *leaf = authority_issue(a, profile, request, "quickstart", err);
        result = leaf == NULL ? -1 : ca_save(leaf, p.cert, p.key, err);
        ca_free(leaf);
    }
    pair_free(&p);
    return result;
}

/* For this machine, by all names that it calls itself. */
static int issue_door(struct authority *ca, const char *dir, struct err *err)
{
    char host[256] = "";
    const char *sans[] = {"localhost", QUICKSTART_CA_NAME, QUICKSTART_TUNNEL_NAME, "127.0.0.1", "::1", host};
    if (gethostname(host, sizeof(host) - 1) != 0 || strcmp(host, "localhost") == 0 ||
        !cert_dns_name_ok(host, strlen(host)))
        host[0] = '\0';
    struct ca_request request = {.name = "localhost",
                                 .sans = sans,
                                 .sans_len = ARRAY_LEN(sans) - (*host == '\0'),
                                 .now = now(),
                                 .lifetime = 365 * DAY};
    return issue(ca, dir, "door", CA_PROFILE_SERVER, &request, err);
}

/* For the user who runs this. */
static int issue_client(struct authority *ca, const char *dir, struct err *err)
{
    static const char *const groups[] = {GROUP};
    const struct passwd *user = getpwuid(getuid());
    struct ca_request request = {.name = user != NULL ? user->pw_name : "user",
                                 .groups = groups,
                                 .groups_len = ARRAY_LEN(groups),
                                 .now = now(),
                                 .lifetime = 365 * DAY};
    return issue(ca, dir, "client", CA_PROFILE_CLIENT, &request, err);
}

static int write_certificates(const struct making *m, struct err *err)
{
    struct authority *ca = open_ca(m, err);
    int result =
        ca != NULL && issue_door(ca, m->dir, err) == 0 && issue_client(ca, m->dir, err) == 0 ? 0 : -1;
    authority_close(ca);
    return result;
}

/* ---- configuration ---- */

/* To be filled in: the door's port, three times; the ports of challenges and of the web page; the door's,
 * twice. */
static const char config_text[] =
    "# Made by `cardea quickstart`: one port, and what is behind it. Change what you like;\n"
    "# a running door takes it with `cardea reload --socket` and the path of the admin socket below.\n"
    "# cardea.yaml(5) explains every key. `cardea serve --check -c` and the path of this file say\n"
    "# what is wrong with it, and in which order its routes are tried.\n"
    "\n"
    "# The one port. Only this machine reaches it; \"[::]:%u\" would open it to all others.\n"
    "listeners:\n"
    "  - name: main\n"
    "    address: \"127.0.0.1:%u\"\n"
    "\n"
    "# What the door shows of itself, issued by the private CA whose root is ca.pem.\n"
    "certificates:\n"
    "  - {certificate: door.pem, key: door.key}\n"
    "\n"
    "# Whose certificates prove who a client is. client.pem is one of them: it has your login name,\n"
    "# and the group " GROUP ".\n"
    "trust:\n"
    "  - {name: ours, ca: ca.pem}\n"
    "\n"
    "# The private CA itself; the door serves it below. Of its root the key is not needed any more: whoever\n"
    "# has it, and root-passphrase, can make others believe anything. `cardea ca list --dir ca` and "
    "cardea-ca(1).\n"
    "# Programs that speak ACME get certificates from it for what they can prove to be theirs. Whoever "
    "answers\n"
    "# at http_port on the place that a name leads to has proven it; it would be 80, which needs root to\n"
    "# listen at: leave it out where others use this CA.\n"
    "ca:\n"
    "  directory: " QUICKSTART_CA "\n"
    "  acme:\n"
    "    url: https://127.0.0.1:%u\n"
    "    challenges: [http-01]\n"
    "    http_port: %u\n"
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
    "  # 4. The CA, for those who ask for " QUICKSTART_CA_NAME
    ", or by address and so for no name at all: certificates by\n"
    "  #    ACME (the directory is https://127.0.0.1:%u/acme/directory), logins of people (make an account\n"
    "  #    with `cardea ca user add`), and at /ca/ what is revoked.\n"
    "  - name: ca\n"
    "    sni: [none, " QUICKSTART_CA_NAME "]\n"
    "    alpn: http/1.1\n"
    "    serve: [acme, login, ca]\n"
    "    clients: {mode: optional, trust: ours}\n"
    "\n"
    "  # 5. The same port without TLS, where clients fetch what is revoked: certificates say\n"
    "  #    http://localhost:%u/ca, until `cardea ca set --dir ca --url URL` has said otherwise.\n"
    "  - name: revoked\n"
    "    first_bytes: http\n"
    "    serve: [ca]\n"
    "\n"
    "# Who may reach what. The first row that matches decides; what no row allows is denied.\n"
    "policy:\n"
    "  - name: admins\n"
    "    who: {group: " GROUP "}\n"
    "    routes: tunnel\n"
    "    targets: [\"127.0.0.1:*\", \"localhost:*\"]\n"
    "  - {name: everybody, who: {any: true}, routes: ca}\n"
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

static int write_config(const struct making *m, struct err *err)
{
    char *path = quickstart_path(m->dir, QUICKSTART_CONFIG), *text;
    int len =
        asprintf(&text, config_text, m->port, m->port, m->port, m->challenge, m->welcome, m->port, m->port);
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
    const struct making m = {.dir = dir,
                             .port = port != 0 ? port : free_port(DOOR_PORT, err),
                             .welcome = free_port(0, err),
                             .challenge = free_port(0, err)};
    if (m.port == 0 || m.welcome == 0 || m.challenge == 0)
        return -1;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make the folder %s", dir);
    return write_certificates(&m, err) == 0 ? write_config(&m, err) : -1;
}
