/* SPDX-License-Identifier: Apache-2.0 */
/* What a route table of many exact names costs: time to build, memory, time of a lookup.
 * Usage: route_names [NAMES] */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "route/route.h"

#define TEXTS (1u << 18) /* different names of a case, looked up one after the other */
#define PASSES 15u
#define TENANTS 1000u /* routes that share the names among them */

/* Xorshift: the order of the lookups must not be the order of the memory. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL && fscanf(f, "%*s %ld", &pages) == 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* A names file of one route. */
static void add_names(struct route_builder *b, uint32_t from, uint32_t to)
{
    struct err err;
    struct buf text = {0};
    for (uint32_t i = from; i < to; i++)
        CHECK(buf_printf(&text, "host-%u.tenant-%u.example.com\n", i, i % TENANTS));
    if (route_builder_names(b, (const char *)text.data, text.len, &err) != 0) {
        fprintf(stderr, "route_names: %s\n", err.text);
        exit(1);
    }
    buf_free(&text);
}

static struct route_table *build(uint32_t names)
{
    struct err err;
    struct hash_key key = hash_random_key();
    struct route_builder *b = route_builder_new(&key);
    CHECK(b != NULL);
    for (uint32_t i = 0; i < TENANTS; i++) {
        char name[32], wild[64];
        snprintf(name, sizeof(name), "route-%u", i);
        snprintf(wild, sizeof(wild), "*.wild-%u.example.net", i);
        const char *sni[] = {wild}, *alpn[] = {"h2", "http/1.1"};
        struct route_rule rule = {.id = i, .name = name, .kinds = 1, .sni = sni, .sni_count = 1};
        if (i % 2 == 0) {
            rule.alpn = alpn;
            rule.alpn_count = 2;
        }
        CHECK(route_builder_add(b, &rule, &err) == 0);
        add_names(b, (uint32_t)((uint64_t)names * i / TENANTS),
                  (uint32_t)((uint64_t)names * (i + 1) / TENANTS));
    }
    struct route_table *t = route_builder_finish(b, &err);
    if (t == NULL)
        fprintf(stderr, "route_names: %s\n", err.text);
    CHECK(t != NULL);
    return t;
}

static double cpu_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * NSEC_PER_SEC + (double)now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Nanoseconds of processor time of a lookup, by the median of the passes. Texts are made before the clock
 * starts, so that only looking up is measured. */
static double measure(const struct route_table *t, const char *format, uint32_t names, bool hit)
{
    enum { TEXT_MAX = 64 };
    static const uint8_t alpn[] = "\x02h2\x08http/1.1";
    char(*texts)[TEXT_MAX] = calloc(TEXTS, sizeof(*texts));
    CHECK(texts != NULL);
    uint64_t state = 88172645463325252u;
    for (uint32_t i = 0; i < TEXTS; i++) {
        uint32_t n = (uint32_t)(random_next(&state) % names);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(texts[i], sizeof(texts[i]), format, n, n % TENANTS);
#pragma GCC diagnostic pop
    }
    double passes[PASSES];
    for (uint32_t p = 0; p < PASSES; p++) {
        uint32_t found = 0;
        double begin = cpu_ns();
        for (uint32_t i = 0; i < TEXTS; i++) {
            struct route_query q = {
                .sni = {texts[i], strlen(texts[i])}, .alpn = alpn, .alpn_len = sizeof(alpn) - 1};
            found += route_find(t, &q).route != ROUTE_NONE;
        }
        passes[p] = (cpu_ns() - begin) / TEXTS;
        CHECK(found == (hit ? TEXTS : 0));
    }
    free(texts);
    qsort(passes, PASSES, sizeof(passes[0]), compare_doubles);
    return passes[PASSES / 2];
}

int main(int argc, char **argv)
{
    uint32_t names = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    CHECK(names >= 1);
    size_t heap = heap_bytes(), resident = resident_bytes();
    int64_t begin = clock_monotonic();
    struct route_table *t = build(names);
    int64_t end = clock_monotonic();
    malloc_trim(0);
    double n = names;
    size_t bytes = route_table_bytes(t);
    printf("names          %u\n", names);
    printf("build          %.2f s\n", (double)(end - begin) / NSEC_PER_SEC);
    printf("memory         %.1f bytes a name by the table's own count\n", (double)bytes / n);
    printf("               %.1f heap, %.1f resident\n", (double)(heap_bytes() - heap) / n,
           (double)(resident_bytes() - resident) / n);
    printf("hit            %.0f ns\n", measure(t, "host-%u.tenant-%u.example.com", names, true));
    printf("miss           %.0f ns\n", measure(t, "nobody-%u.tenant-%u.example.com", names, false));
    printf("wildcard hit   %.0f ns\n", measure(t, "a%u.wild-%u.example.net", names, true));
    printf("wildcard miss  %.0f ns\n", measure(t, "a%u.mild-%u.example.net", names, false));
    printf("deep miss      %.0f ns\n",
           measure(t, "x%u.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.mild-%u.example.net", names, false));
    route_table_free(t);
    return 0;
}
