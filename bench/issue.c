/* SPDX-License-Identifier: Apache-2.0 */
/* issue DIR KIND REQUEST: a CA in the folder DIR, which is made where it is not there, with keys of that kind
 * ("p256"), in one process, as a door has it. For each line that it reads, a number, it certifies what
 * REQUEST (PKCS #10 in PEM) asks for that often, each time from the file's bytes on, and prints as one JSON
 * object how long that took and how much of it the processor worked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/authority.h"
#include "ca/csr.h"
#include "cert/key.h"

#define REQUEST_MAX 65536

static void give_up(const struct err *err)
{
    fprintf(stderr, "issue: %s\n", err->text);
    exit(1);
}

static struct authority *open_authority(const char *dir, const char *kind, struct err *err)
{
    struct stat st;
    struct authority_plan plan = {
        .name = "Bench", .url = "http://ca.example.com/ca", .root_passphrase = {"far too long to guess", 21}};
    if (!key_kind_parse(kind, &plan.key)) {
        err_set(err, "'%s' is no kind of keys", kind);
        return NULL;
    }
    if (stat(dir, &st) != 0 && authority_init(dir, &plan, clock_wall() / NSEC_PER_SEC, err) < 0)
        return NULL;
    struct authority *a = authority_open(dir, err);
    if (a == NULL || authority_unlock(a, NULL, err) < 0)
        return NULL;
    return a;
}

static void certify(struct authority *a, const struct buf *file)
{
    struct err err;
    struct csr csr;
    struct buf chain = {0};
    struct ca_serial serial;
    if (csr_read_any(file, &csr, &err) < 0)
        give_up(&err);
    const struct ca_request request = {
        .sans = (const char *const *)csr.sans, .sans_len = csr.sans_len, .now = clock_wall() / NSEC_PER_SEC};
    if (authority_certify(a, csr.key, CA_PROFILE_SERVER, &request, "bench", &serial, &chain, &err) < 0)
        give_up(&err);
    csr_free(&csr);
    buf_free(&chain);
}

static double processor_seconds(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct err err;
    struct buf file = {0};
    char line[32];
    if (argc != 4) {
        fprintf(stderr, "usage: issue DIR KIND REQUEST\n");
        return 2;
    }
    struct authority *a = open_authority(argv[1], argv[2], &err);
    if (a == NULL || file_read(argv[3], REQUEST_MAX, &file, NULL, &err) < 0)
        give_up(&err);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        unsigned long count = strtoul(line, NULL, 10);
        int64_t from = clock_monotonic();
        double worked = processor_seconds();
        for (unsigned long i = 0; i < count; i++)
            certify(a, &file);
        printf("{\"seconds\": %.6f, \"processor\": %.6f}\n",
               (double)(clock_monotonic() - from) / NSEC_PER_SEC, processor_seconds() - worked);
        fflush(stdout);
    }
    buf_free(&file);
    authority_close(a);
    return 0;
}
