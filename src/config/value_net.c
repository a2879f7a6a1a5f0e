/* SPDX-License-Identifier: Apache-2.0 */
/* Names, addresses and protocols. Syntax only: nothing is looked up. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/un.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "base/str.h"
#include "config/value.h"

#define ALPN_MAX 255 /* RFC 7301, 3.1 */
#define SYSTEMD_NAME_MAX 255

/* Names */

/* What is wrong with a DNS name, or NULL; the usual mistakes first, in words of their own. `stars`: of one
 * with an asterisk. Whether it may end in a number is for the key to say. */
static const char *name_fault(const char *name, const char *stars)
{
    size_t len = strlen(name);
    if (strchr(name, '*') != NULL)
        return stars;
    for (size_t i = 0; i < len; i++)
        if (!isascii((unsigned char)name[i]))
            return "write it in its xn-- form";
    if (len > 0 && name[len - 1] == '.')
        return "leave out the last dot";
    enum hostname_fault fault = hostname_check(name, len);
    return fault == HOSTNAME_OK || fault == HOSTNAME_NUMBER ? NULL : hostname_fault_text(fault);
}

#define NO_STAR "'*' cannot stand here"
#define ONE_STAR "'*' stands for the one label at the beginning only: *.NAME"
#define STARS "'*' stands for whole labels at the beginning only: *.NAME or **.NAME"

static int put_lower(const struct schema_value *v, void *ret, struct err *err)
{
    char *copy = store_text(v->store, v->text, strlen(v->text));
    if (copy != NULL)
        str_lower(copy, strlen(copy));
    return value_put_text(v, copy, ret, err);
}

static int read_sni(const struct schema_value *v, void *ret, struct err *err)
{
    const char *name = v->text;
    if (strncmp(name, "**.", 3) == 0)
        name += 3;
    else if (strncmp(name, "*.", 2) == 0)
        name += 2;
    const char *fault = strcmp(name, "*") == 0 ? "for any name leave 'sni' out" : name_fault(name, STARS);
    if (fault == NULL && hostname_check(name, strlen(name)) == HOSTNAME_NUMBER)
        fault = "a client that dials an address sends no server name; none matches it";
    if (fault != NULL)
        return value_refuse(v, err, "expected a server name, *.NAME, **.NAME or none: %s", fault);
    return put_lower(v, ret, err);
}

static int read_host_pattern(const struct schema_value *v, void *ret, struct err *err)
{
    const char *name = strncmp(v->text, "*.", 2) == 0 ? v->text + 2 : v->text;
    const char *fault = name_fault(name, ONE_STAR);
    if (fault != NULL)
        return value_refuse(v, err, "expected a DNS name or *.NAME: %s", fault);
    return put_lower(v, ret, err);
}

static int read_host(const struct schema_value *v, void *ret, struct err *err)
{
    uint8_t ignored[16];
    const char *fault = hostname_address(v->text, ignored) > 0 ? NULL : name_fault(v->text, NO_STAR);
    if (fault != NULL)
        return value_refuse(v, err, "expected a DNS name or an IP address: %s", fault);
    return put_lower(v, ret, err);
}

static int read_certified(const struct schema_value *v, void *ret, struct err *err)
{
    uint8_t ignored[16];
    if (hostname_address(v->text, ignored) > 0)
        return put_lower(v, ret, err);
    const char *name = strncmp(v->text, "*.", 2) == 0 ? v->text + 2 : v->text;
    const char *fault = name_fault(name, ONE_STAR);
    if (fault != NULL)
        return value_refuse(v, err, "expected a DNS name, *.NAME or an IP address: %s", fault);
    return put_lower(v, ret, err);
}

static int take_url(const struct schema_value *v, const char *expected, void *ret, struct err *err)
{
    size_t scheme = strncmp(v->text, "https://", 8) == 0 ? 8 : strncmp(v->text, "http://", 7) == 0 ? 7 : 0;
    bool plain = scheme > 0 && (isalnum((unsigned char)v->text[scheme]) || v->text[scheme] == '[');
    for (const char *p = v->text; *p != '\0'; p++)
        plain = plain && isgraph((unsigned char)*p);
    if (!plain)
        return value_refuse(v, err, "expected %s", expected);
    return value_put_text(v, v->text, ret, err);
}

static int read_url(const struct schema_value *v, void *ret, struct err *err)
{
    return take_url(v, "a URL such as https://acme.example.net/directory", ret, err);
}

static int read_command(const struct schema_value *v, void *ret, struct err *err)
{
    char **words = value_command(v, v->text, "expected a program with its arguments", err);
    memcpy(ret, &words, sizeof(words));
    return words == NULL ? -1 : 0;
}

#define ASK_EXPECTED "a URL such as http://127.0.0.1:8080/permitted, or exec:PROGRAM ARGS"

static int read_ask(const struct schema_value *v, void *ret, struct err *err)
{
    struct config_ask a = {.text = {v->text, v->at}};
    if (strncmp(v->text, "exec:", 5) != 0)
        return take_url(v, ASK_EXPECTED, ret, err); /* a config_text comes first */
    a.program = value_command(v, v->text + 5, ASK_EXPECTED, err);
    if (a.program == NULL || value_put_text(v, v->text, &a.text, err) < 0)
        return -1;
    memcpy(ret, &a, sizeof(a));
    return 0;
}

static int read_protocol(const struct schema_value *v, bool pattern, void *ret, struct err *err)
{
    size_t len = strlen(v->text);
    const char *star = strchr(v->text, '*');
    if (len == 0 || len > ALPN_MAX)
        return value_refuse(v, err, "expected a protocol name of 1 to %d bytes", ALPN_MAX);
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)v->text[i]))
            return value_refuse(v, err, "expected a protocol name such as h2: no spaces, ASCII only");
    if (star != NULL && (!pattern || star[1] != '\0'))
        return value_refuse(v, err, "expected a protocol name such as h2: %s",
                            pattern ? "'*' can only be its last character" : "'*' cannot stand here");
    return value_put_text(v, v->text, ret, err);
}

static int read_alpn(const struct schema_value *v, void *ret, struct err *err)
{
    return read_protocol(v, false, ret, err);
}

static int read_alpn_pattern(const struct schema_value *v, void *ret, struct err *err)
{
    return read_protocol(v, true, ret, err);
}

/* What a certificate may hold: ASCII without spaces (RFC 3986), a scheme, and something behind it. */
static const char *uri_fault(const char *uri)
{
    size_t scheme = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const char *star = strchr(uri, '*'), *host = uri + scheme + 3;
    for (const char *p = uri; *p != '\0'; p++)
        if (!isgraph((unsigned char)*p))
            return "it has no spaces, and nothing outside ASCII";
    if (!isalpha((unsigned char)uri[0]) || uri[scheme] != ':' || uri[scheme + 1] == '\0')
        return "it begins with a scheme, as in spiffe://";
    if (star == NULL)
        return NULL;
    if (strncmp(uri + scheme, "://", 3) != 0 || star[1] != '\0' || star[-1] != '/' || star - 1 <= host)
        return "'*' can only be all that is behind the last '/' of its path";
    return NULL;
}

static int read_uri(const struct schema_value *v, void *ret, struct err *err)
{
    const char *fault = uri_fault(v->text);
    if (fault != NULL)
        return value_refuse(v, err, "expected a URI such as spiffe://example.com/app: %s", fault);
    return value_put_text(v, v->text, ret, err);
}

/* As curl writes it too. */
static int read_pin(const struct schema_value *v, void *ret, struct err *err)
{
    const char *text = strncmp(v->text, "sha256//", 8) == 0 ? v->text + 8 : v->text;
    if (!base64_read(text, ret, CONFIG_PIN_LEN))
        return value_refuse(
            v, err,
            "expected the base64 of a SHA-256, 44 characters; of a certificate it is: openssl x509 "
            "-in FILE -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 "
            "-binary | base64");
    return 0;
}

/* Addresses */

/* HOST:PORT into `a`; `expected` goes into the error. a->host is NULL when memory is out. */
static int parse_address(const struct schema_value *v, const char *text, const char *expected,
                         struct config_address *a, struct err *err)
{
    char host[HOST_MAX], hint[HOST_HINT_MAX];
    struct err why;
    if (str_host_port(text, strlen(text), host, &a->port, &why) < 0)
        return value_refuse(v, err, "expected %s: %s%s", expected, why.text, str_host_port_hint(text, hint));
    a->text = (struct config_text){v->text, v->at};
    a->host = store_text(v->store, host, strlen(host));
    return 0;
}

static int put_address(const struct config_address *a, void *ret, struct err *err)
{
    if ((a->place == CONFIG_AT_IP && a->host == NULL) || (a->place == CONFIG_AT_UNIX && a->path == NULL))
        return err_set(err, "out of memory");
    memcpy(ret, a, sizeof(*a));
    return 0;
}

/* An IP address and a port; `expected` goes into errors. */
static int read_ip(const struct schema_value *v, const char *expected, void *ret, struct err *err)
{
    struct config_address a = {0};
    char text[32];
    size_t any = strncmp(v->text, "*:", 2) == 0 ? 1 : 0;
    if (v->text[any] == ':') {
        /* Every address: let the one parser see to the port. */
        str_copy(text, sizeof(text), "0.0.0.0", 7);
        if (!str_copy(text + 7, sizeof(text) - 7, v->text + any, strlen(v->text + any)))
            return value_refuse(v, err, "expected %s", expected);
        if (parse_address(v, text, expected, &a, err) < 0)
            return -1;
        a.host = "";
        return put_address(&a, ret, err);
    }
    uint64_t port;
    if (str_u64(v->text, UINT16_MAX, &port) && port > 0)
        return value_refuse(v, err, "expected %s: for every address write \":%s\"", expected, v->text);
    if (parse_address(v, v->text, expected, &a, err) < 0)
        return -1;
    uint8_t ignored[16];
    if (a.host != NULL && hostname_address(a.host, ignored) == 0)
        return value_refuse(v, err, "expected %s: a listener has an IP address, not a name", expected);
    return put_address(&a, ret, err);
}

static int read_door(const struct schema_value *v, void *ret, struct err *err)
{
    struct config_address a = {0};
    if (parse_address(v, v->text, "HOST:PORT or [V6]:PORT", &a, err) < 0)
        return -1;
    return put_address(&a, ret, err);
}

/* What it is known by does not depend on where the file is read from. NULL when memory is out. */
static const char *joined_text(const struct schema_value *v, const char *path)
{
    size_t len = strlen(path);
    char *text = store_alloc(v->store, strlen("unix:") + len + 1, 1);
    if (text != NULL)
        memcpy(mempcpy(text, "unix:", strlen("unix:")), path, len);
    return text;
}

static int read_unix(const struct schema_value *v, const char *expected, void *ret, struct err *err)
{
    struct config_address a = {.text = {v->text, v->at}, .place = CONFIG_AT_UNIX};
    if (v->text[5] == '\0')
        return value_refuse(v, err, "expected %s: there is no path", expected);
    a.path = value_join(v, v->text + 5);
    if (a.path != NULL && strlen(a.path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return value_refuse(v, err, "expected %s: the path of a unix socket has at most %zu bytes", expected,
                            sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    if (a.path != NULL && (a.text.text = joined_text(v, a.path)) == NULL)
        a.path = NULL;
    return put_address(&a, ret, err);
}

/* systemd.socket(5), FileDescriptorName: what stands between the colons of LISTEN_FDNAMES. */
static int read_systemd(const struct schema_value *v, const char *expected, void *ret, struct err *err)
{
    struct config_address a = {.text = {v->text, v->at}, .place = CONFIG_AT_SYSTEMD};
    const char *name = v->text + strlen("systemd:");
    if (*name == '\0')
        return value_refuse(v, err, "expected %s: there is no name", expected);
    for (const char *p = name; *p != '\0'; p++)
        if (*p == ':' || (unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return value_refuse(v, err,
                                "expected %s: NAME is what FileDescriptorName= of the socket unit says, "
                                "printable and without blanks or ':'",
                                expected);
    if (strlen(name) > SYSTEMD_NAME_MAX)
        return value_refuse(v, err, "expected %s: NAME has at most %d bytes", expected, SYSTEMD_NAME_MAX);
    a.name = store_text(v->store, name, strlen(name));
    return a.name == NULL ? err_set(err, "out of memory") : put_address(&a, ret, err);
}

static int read_listen(const struct schema_value *v, void *ret, struct err *err)
{
    return read_ip(v, "ADDRESS:PORT, [V6]:PORT, *:PORT or :PORT", ret, err);
}

static int read_listener(const struct schema_value *v, void *ret, struct err *err)
{
    static const char expected[] =
        "ADDRESS:PORT, [V6]:PORT, *:PORT, :PORT, unix:PATH, systemd:NAME or '-' (standard input and output)";
    if (strncmp(v->text, "unix:", 5) == 0)
        return read_unix(v, expected, ret, err);
    if (strncmp(v->text, "systemd:", 8) == 0)
        return read_systemd(v, expected, ret, err);
    if (strcmp(v->text, "-") != 0)
        return read_ip(v, expected, ret, err);
    struct config_address a = {.text = {v->text, v->at}, .place = CONFIG_AT_STANDARD};
    return put_address(&a, ret, err);
}

static int read_service(const struct schema_value *v, void *ret, struct err *err)
{
    static const char expected[] = "HOST:PORT, [V6]:PORT or unix:PATH";
    struct config_address a = {0};
    if (strncmp(v->text, "unix:", 5) == 0)
        return read_unix(v, expected, ret, err);
    return parse_address(v, v->text, expected, &a, err) < 0 ? -1 : put_address(&a, ret, err);
}

static int read_backend(const struct schema_value *v, void *ret, struct err *err)
{
    static const char expected[] = "HOST:PORT, [V6]:PORT, unix:PATH or exec:PROGRAM ARGS";
    struct config_address a = {.text = {v->text, v->at}};
    if (strncmp(v->text, "unix:", 5) == 0)
        return read_unix(v, expected, ret, err);
    if (strncmp(v->text, "exec:", 5) != 0)
        return parse_address(v, v->text, expected, &a, err) < 0 ? -1 : put_address(&a, ret, err);
    a.place = CONFIG_AT_PROGRAM;
    a.program = value_command(v, v->text + 5, expected, err);
    return a.program == NULL ? -1 : put_address(&a, ret, err);
}

/* Clears the bits behind the prefix; true when some were set. */
static bool clear_host_bits(uint8_t *addr, size_t bytes, unsigned prefix)
{
    bool set = false;
    for (size_t i = 0; i < bytes; i++) {
        unsigned keep = prefix > i * 8 ? MIN(prefix - (unsigned)i * 8, 8u) : 0;
        uint8_t mask = (uint8_t)(0xff00u >> keep);
        set |= (addr[i] & (uint8_t)~mask) != 0;
        addr[i] &= mask;
    }
    return set;
}

static int read_network(const struct schema_value *v, void *ret, struct err *err)
{
    static const char expected[] = "an IP address, ADDRESS/BITS or 'unix'";
    const struct config_network local = {.at = v->at, .family = AF_UNIX};
    if (strcmp(v->text, "unix") == 0) {
        memcpy(ret, &local, sizeof(local));
        return 0;
    }
    struct config_network n = {.at = v->at, .family = strchr(v->text, ':') != NULL ? AF_INET6 : AF_INET};
    char text[INET6_ADDRSTRLEN], clean[INET6_ADDRSTRLEN];
    const char *slash = strchr(v->text, '/');
    size_t len = slash != NULL ? (size_t)(slash - v->text) : strlen(v->text);
    uint64_t most = n.family == AF_INET ? 32 : 128, prefix = most;
    if (!str_copy(text, sizeof(text), v->text, len) || inet_pton(n.family, text, n.addr) != 1)
        return value_refuse(v, err, "expected %s", expected);
    if (slash != NULL && !str_u64(slash + 1, most, &prefix))
        return value_refuse(v, err, "expected %s with 0 to %u bits", expected, (unsigned)most);
    n.prefix = (uint8_t)prefix;
    if (clear_host_bits(n.addr, (size_t)most / 8, n.prefix))
        return value_refuse(v, err, "expected %s: the network of that size is %s/%u", expected,
                            inet_ntop(n.family, n.addr, clean, sizeof(clean)), n.prefix);
    memcpy(ret, &n, sizeof(n));
    return 0;
}

const struct schema_type value_sni = {"server name", sizeof(struct config_text), read_sni};
const struct schema_type value_host_pattern = {"DNS name", sizeof(struct config_text), read_host_pattern};
const struct schema_type value_host = {"host", sizeof(struct config_text), read_host};
const struct schema_type value_certified = {"host", sizeof(struct config_text), read_certified};
const struct schema_type value_url = {"URL", sizeof(struct config_text), read_url};
const struct schema_type value_ask = {"who is asked", sizeof(struct config_ask), read_ask};
const struct schema_type value_command_line = {"command", sizeof(char **), read_command};
const struct schema_type value_alpn = {"protocol", sizeof(struct config_text), read_alpn};
const struct schema_type value_alpn_pattern = {"protocol", sizeof(struct config_text), read_alpn_pattern};
const struct schema_type value_uri = {"URI", sizeof(struct config_text), read_uri};
const struct schema_type value_pin = {"pin", CONFIG_PIN_LEN, read_pin};
const struct schema_type value_listen = {"address", sizeof(struct config_address), read_listen};
const struct schema_type value_listener = {"address", sizeof(struct config_address), read_listener};
const struct schema_type value_service = {"address", sizeof(struct config_address), read_service};
const struct schema_type value_backend = {"address", sizeof(struct config_address), read_backend};
const struct schema_type value_door = {"address", sizeof(struct config_address), read_door};
const struct schema_type value_network = {"network", sizeof(struct config_network), read_network};
