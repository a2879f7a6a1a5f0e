/* SPDX-License-Identifier: Apache-2.0 */
/* A candidate beside what it takes the place of. */
#ifndef CARDEA_CMD_CERT_COMPARE_H
#define CARDEA_CMD_CERT_COMPARE_H

#include "base/buf.h"
#include "base/err.h"

struct json_t;
struct trust;

struct cert_compare {
    const char *trust;           /* a file of CA certificates; NULL: the machine's */
    const char *pins_file;       /* a pin on each line, and remarks behind '#'; may be NULL */
    const struct json_t *answer; /* of GET /staging */
    /* After cert_compare_open(). */
    struct trust *roots;
    struct buf pins; /* base64, a NUL behind each; the configuration's too */
};

/* Read the files. -1 with `err`. */
int cert_compare_open(struct cert_compare *with, struct err *err);

/* Also of one that could not be opened. */
void cert_compare_close(struct cert_compare *with);

/* An array of findings, {"level": "lost"|"changed"|"note"|"good", "what": ..., "text": ...}; the caller's. */
struct json_t *cert_compare(const struct cert_compare *with, const struct json_t *entry);

#endif
