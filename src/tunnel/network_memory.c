/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/network_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "net/socket.h"

#define FOLDER_BELOW "/cardea"
#define FILE_BELOW FOLDER_BELOW "/networks"
#define FIRST_LINE "cardea networks 1\n"
#define FAILED_SECONDS 600
#define FAILED_SECONDS_MAX 3600
#define FAILS_MAX 1000
#define FRESH_SECONDS 3600 /* a success that is younger is not written again */

/* ---- the text: a line for each, "KEY WHEN FAILS" ---- */

/* The next field of a line; false when it is not there. */
static bool take_field(const char **p, char end, char field[24])
{
    const char *stop = strchr(*p, end);
    if (stop == NULL || !str_copy(field, 24, *p, (size_t)(stop - *p)))
        return false;
    *p = stop + 1;
    return true;
}

static bool read_key(const char *text, uint64_t *ret)
{
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *ret = strtoull(text, NULL, 16);
    return true;
}

static bool read_row(const char **p, struct network *ret)
{
    char key[24], when[24], fails[24];
    uint64_t seconds;
    if (!take_field(p, ' ', key) || !take_field(p, ' ', when) || !take_field(p, '\n', fails) ||
        !read_key(key, &ret->key) || !str_u64(when, INT64_MAX / 2, &seconds) ||
        !str_u64(fails, FAILS_MAX, &ret->fails))
        return false;
    ret->when = (int64_t)seconds;
    return true;
}

bool networks_read(const void *text, size_t len, struct network_list *ret)
{
    char copy[NETWORKS_FILE_MAX + 1];
    const char *p = copy + strlen(FIRST_LINE);
    ret->count = 0;
    if (len > NETWORKS_FILE_MAX || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    bool ok = strncmp(copy, FIRST_LINE, strlen(FIRST_LINE)) == 0;
    while (ok && *p != '\0') {
        ok = ret->count < NETWORKS_MAX && read_row(&p, &ret->row[ret->count]);
        ret->count += ok;
    }
    if (!ok)
        ret->count = 0;
    return ok;
}

bool networks_write(const struct network_list *list, struct buf *out)
{
    bool ok = buf_printf(out, FIRST_LINE);
    for (size_t i = 0; i < list->count; i++)
        ok = ok && buf_printf(out, "%016" PRIx64 " %" PRId64 " %" PRIu64 "\n", list->row[i].key,
                              list->row[i].when, list->row[i].fails);
    return ok;
}

/* ---- what is known ---- */

static struct network *find(const struct network_list *list, uint64_t key)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->row[i].key == key)
            return (struct network *)(uintptr_t)&list->row[i];
    return NULL;
}

bool networks_note(struct network_list *list, uint64_t key, bool worked, int64_t when)
{
    struct network *old = find(list, key);
    struct network now = {.key = key, .when = when};
    bool fresh = old != NULL && old->when <= when && when - old->when < FRESH_SECONDS;
    if (worked && fresh && old->fails == 0)
        return false;
    if (!worked)
        now.fails = old != NULL ? MIN(old->fails + 1, (uint64_t)FAILS_MAX) : 1;
    size_t at = old != NULL ? (size_t)(old - list->row) : MIN(list->count, (size_t)NETWORKS_MAX - 1);
    if (at == list->count)
        list->count++;
    memmove(&list->row[1], &list->row[0], at * sizeof(list->row[0]));
    list->row[0] = now;
    return true;
}

enum network_word networks_ask(const struct network_list *list, uint64_t key, int64_t now,
                               int64_t *ret_seconds)
{
    const struct network *n = find(list, key);
    if (n == NULL || n->when > now) /* a clock that was set back */
        return NETWORK_UNKNOWN;
    if (n->fails == 0)
        return NETWORK_WORKED;
    int64_t most = n->fails > 3 ? FAILED_SECONDS_MAX
                                : MIN((int64_t)FAILED_SECONDS << (n->fails - 1), (int64_t)FAILED_SECONDS_MAX);
    *ret_seconds = n->when + most - now;
    return *ret_seconds > 0 ? NETWORK_FAILED : NETWORK_UNKNOWN;
}

/* ---- which network ---- */

/* The first bytes of the address that we would send from to a place that is nowhere (RFC 5737, RFC 3849): /24
 * and /64. */
static void put_source(struct buf *b, const char *nowhere, size_t prefix)
{
    struct net_addr to, from;
    int fd = net_addr_parse(nowhere, 9, &to) ? socket_connect_udp(&to) : -1;
    if (fd < 0)
        return;
    from = socket_local(fd);
    close(fd);
    buf_append(b, from.ip, prefix);
}

/* The way out: device and gateway of the default route (proc(5)). */
static void put_gateway(struct buf *b)
{
    char line[256], device[32], to[32], gateway[32];
    FILE *file = fopen("/proc/net/route", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "%31s %31s %31s", device, to, gateway) == 3 && strcmp(to, "00000000") == 0) {
            buf_printf(b, " %s %s", device, gateway);
            break;
        }
    fclose(file);
}

uint64_t network_key(const char *door)
{
    static const struct hash_key key = {0x6e6574776f726b73, 1};
    struct buf b = {0};
    buf_printf(&b, "%s ", door);
    put_source(&b, "192.0.2.1", 3);
    put_source(&b, "2001:db8::1", 8);
    put_gateway(&b);
    uint64_t hash = hash_bytes(&key, b.data, b.len);
    buf_free(&b);
    return hash;
}

/* ---- the file ---- */

/* $XDG_CACHE_HOME, ~/.cache; then `below`. False: there is no place. */
static bool path_of(const char *below, char ret[4096])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool own = cache != NULL && *cache == '/';
    if (!own && (home == NULL || *home != '/'))
        return false;
    int n = snprintf(ret, 4096, "%s%s%s", own ? cache : home, own ? "" : "/.cache", below);
    return n > 0 && n < 4096;
}

void network_memory_load(struct network_list *ret)
{
    char path[4096];
    struct buf text = {0};
    ret->count = 0;
    if (path_of(FILE_BELOW, path) && file_read(path, NETWORKS_FILE_MAX, &text, NULL, NULL) == 0)
        networks_read(text.data, text.len, ret);
    buf_free(&text);
}

void network_memory_note(uint64_t key, bool worked)
{
    char path[4096];
    struct network_list list;
    struct buf text = {0};
    network_memory_load(&list);
    if (!networks_note(&list, key, worked, time(NULL)))
        return;
    if (path_of("", path))
        mkdir(path, 0700);
    if (path_of(FOLDER_BELOW, path))
        mkdir(path, 0700);
    if (path_of(FILE_BELOW, path) && networks_write(&list, &text))
        file_write_atomic(path, 0600, text.data, text.len, NULL);
    buf_free(&text);
}
